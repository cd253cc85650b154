package failover

import (
	"context"
	"errors"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// keyRow is a key as the ledger said at an instant; not found: there is none.
type keyRow struct {
	key   ledger.Key
	found bool
	at    time.Time
}

// keyState says what a request's key may: Admitted, KeyRefused, or ReloadKey where the caller's row is older than the ledger's, so that
// the request was made under terms that hold no more.
func (f *Failover) keyState(ctx context.Context, q admit.Request) (keyRow, admit.Outcome, error) {
	row, err := f.keyRow(ctx, q.KeyDigest, q.KeyVersion)
	switch {
	case err != nil:
		return row, 0, err
	case !row.found || row.key.State == ledger.KeyRevoked:
		return row, admit.KeyRefused, nil
	case row.key.Version > q.KeyVersion || row.key.Account != q.Account:
		return row, admit.ReloadKey, nil
	case row.key.State != ledger.KeyActive:
		return row, admit.KeyRefused, nil
	default:
		return row, admit.Admitted, nil
	}
}

// keyRow reads a key's row, unless one that is young and no older than version is known.
func (f *Failover) keyRow(ctx context.Context, digest string, version int64) (keyRow, error) {
	f.keysMu.Lock()
	row, ok := f.keys.get(digest)
	f.keysMu.Unlock()
	if age := f.o.Now().Sub(row.at); ok && age >= 0 && age < f.o.KeyAge && row.found && row.key.Version >= version {
		return row, nil
	}
	row = keyRow{at: f.o.Now()}
	err := f.inLedger(ctx, func(ctx context.Context) (err error) {
		row.key, err = f.o.Ledger.KeyByDigest(ctx, digest)
		return err
	})
	if row.found = err == nil; !row.found {
		if errors.Is(err, ledger.ErrNotFound) {
			err = nil
		}
		return row, err
	}
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	f.keys.put(digest, row)
	return row, nil
}

// forgetKey has the row read again.
func (f *Failover) forgetKey(digest string) {
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	f.keys.remove(digest)
}
