package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

// deliverEvery is how often a replica looks for keys that changed and whose changer did not come to tell Redis.
const deliverEvery = 2 * time.Second

// delivery tells the admission store of what the ledger's outbox names, for the gateway that the snapshot is of. Every
// replica does it: telling twice changes nothing, and nobody has to be there for a revocation to arrive.
type delivery struct {
	source    source.Source
	books     keys.Outbox
	admission interface {
		keys.Loader
		keys.Cache
	}
	log   *slog.Logger
	every time.Duration
}

// run delivers until ctx ends. What fails is tried again by the next look.
func (d delivery) run(ctx context.Context) {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		if x := d.source.Current(); x != nil && x.Mode == snapshot.Live {
			if _, err := keys.Deliver(ctx, d.books, d.admission, d.admission, x.GatewayUID); err != nil && ctx.Err() == nil {
				d.log.Warn("Changed keys are not told to the admission store, trying again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
