package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

// A Redis in this process is never away: an answer that is late by any deadline is this process' own stall, and is waited for.
func TestEmbeddedIsNeverAway(t *testing.T) {
	redis, err := admit.Embedded(admit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	log := slog.New(slog.DiscardHandler)
	from := source.NewMemory(log, time.Now)
	if err := from.Publish(config(snapshot.Live, snapshot.OpenAICompatible, provider(t).URL)); err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan Bound, 1), make(chan error, 1)
	parts := Parts{
		Source: from, Admission: redis, Books: openLedger(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db")), Log: log,
		Listeners: server.Listeners{API: listen(), Admin: listen()}, Drain: server.Drain{Timeout: 5 * time.Second},
		RedisTimeout: time.Nanosecond, // any answer is later
		Ready:        func(b Bound) { ready <- b },
	}
	go func() { ended <- Serve(ctx, parts) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	f := &fleet{t: t, apis: []string{(<-ready).API}}
	for range 10 {
		if got := f.ask(0, hi); got.status != http.StatusOK || got.header.Get("X-Layers-Degraded") != "" {
			t.Fatalf("%d, degraded %q: %s", got.status, got.header.Get("X-Layers-Degraded"), got.body)
		}
	}
}
