package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// outboxBatch is how many items are read at a time.
const outboxBatch = 100

// Outbox is what Deliver needs of the ledger.
type Outbox interface {
	Store
	PendingOutbox(ctx context.Context, gatewayUID string, limit int) ([]ledger.OutboxItem, error)
	DoneOutbox(ctx context.Context, ids []int64) error
}

// Deliver tells admission and the shared cache (nil: there is none) of every key that the outbox of a gateway (empty: of
// all) names, as its row is now, and takes away what was told. Any number of processes may do it at the same time, because
// an older version never wins and each item may be told more than once. It answers how many items are gone; it stops at the
// first batch of which some could not be told, and they stay.
func Deliver(ctx context.Context, box Outbox, admission Loader, cache Cache, gatewayUID string) (int, error) {
	delivered := 0
	for {
		items, err := box.PendingOutbox(ctx, gatewayUID, outboxBatch)
		if err != nil {
			return delivered, fmt.Errorf("delivering the outbox: %w", err)
		}
		var told []int64
		var failed []error
		for _, item := range items {
			if err := deliver(ctx, box, admission, cache, item); err != nil {
				failed = append(failed, err)
			} else {
				told = append(told, item.ID)
			}
		}
		if err := box.DoneOutbox(ctx, told); err != nil {
			return delivered, errors.Join(append(failed, fmt.Errorf("delivering the outbox: %w", err))...)
		}
		delivered += len(told)
		if len(failed) > 0 || len(items) < outboxBatch {
			return delivered, errors.Join(failed...)
		}
	}
}

// deliver tells of one key, under the account that the item names.
func deliver(ctx context.Context, box Outbox, admission Loader, cache Cache, item ledger.OutboxItem) error {
	row, err := box.KeyByDigest(ctx, item.Digest)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil // no row, nothing to refuse
	}
	if err != nil {
		return fmt.Errorf("delivering the outbox: %w", err)
	}
	row.Account = item.Account
	return Publish(ctx, admission, cache, row)
}
