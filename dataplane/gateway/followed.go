package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// lookEvery is how often a URL file is read. A store that was replaced is closed one look later, when no call runs on
// it any more.
const lookEvery = 10 * time.Second

// errNoStore says that a URL file names no store (yet).
var errNoStore = errors.New("the store's URL file cannot be used")

// closer is a store.
type closer interface{ Close() }

// followed is the store that a mounted file names. The file may come late and may change.
type followed[T closer] struct {
	path  string
	log   *slog.Logger
	open  func(url string) (T, error)
	every time.Duration

	mu   sync.RWMutex
	url  string
	have bool
	now  T
	old  []T
}

// newFollowed reads the file a first time.
func newFollowed[T closer](path string, log *slog.Logger, open func(url string) (T, error)) *followed[T] {
	f := &followed[T]{path: path, log: log, open: open, every: lookEvery}
	f.look()
	return f
}

// store is what the file names now.
func (f *followed[T]) store() (T, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.have {
		return f.now, errNoStore
	}
	return f.now, nil
}

// look reads the file and opens what it names, if that is new. What cannot be opened changes nothing.
func (f *followed[T]) look() {
	f.mu.Lock()
	old := f.old
	f.old = nil
	f.mu.Unlock()
	for _, s := range old {
		s.Close()
	}
	b, err := os.ReadFile(f.path)
	url := strings.TrimSpace(string(b))
	if err == nil && url == "" {
		err = fmt.Errorf("%s is empty", f.path)
	}
	if err != nil {
		f.log.Error("Store is not opened", "error", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if url == f.url {
		return
	}
	next, err := f.open(url)
	if err != nil {
		f.log.Error("Store is not opened", "file", f.path, "error", err)
		return
	}
	if f.have {
		f.log.Info("Changing to the store that the file names now", "file", f.path)
		f.old = append(f.old, f.now)
	}
	f.url, f.now, f.have = url, next, true
}

// run follows the file until ctx ends.
func (f *followed[T]) run(ctx context.Context) {
	t := time.NewTicker(f.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f.look()
		}
	}
}

func (f *followed[T]) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have {
		f.now.Close()
	}
	for _, s := range f.old {
		s.Close()
	}
	f.have, f.old = false, nil
}

// redis is the Admission on a followed file.
type redis struct{ *followed[*admit.Redis] }

// Admit implements admit.Admitter.
func (r *redis) Admit(ctx context.Context, q admit.Request) (admit.Decision, error) {
	s, err := r.store()
	if err != nil {
		return admit.Decision{}, err
	}
	return s.Admit(ctx, q)
}

// Preview implements admit.Admitter.
func (r *redis) Preview(ctx context.Context, q admit.Request) (admit.Decision, error) {
	s, err := r.store()
	if err != nil {
		return admit.Decision{}, err
	}
	return s.Preview(ctx, q)
}

// Finish implements admit.Admitter.
func (r *redis) Finish(ctx context.Context, f admit.Finish) error {
	return r.with(func(s *admit.Redis) error { return s.Finish(ctx, f) })
}

// LoadSpend implements admit.Admitter.
func (r *redis) LoadSpend(ctx context.Context, account, digest string, spend admit.Spend) error {
	return r.with(func(s *admit.Redis) error { return s.LoadSpend(ctx, account, digest, spend) })
}

// Confirm implements admit.Admitter.
func (r *redis) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	return r.with(func(s *admit.Redis) error { return s.Confirm(ctx, cs) })
}

// Release implements admit.Admitter.
func (r *redis) Release(ctx context.Context, account, requestID string) error {
	return r.with(func(s *admit.Redis) error { return s.Release(ctx, account, requestID) })
}

// LoadAccount implements admit.Admitter.
func (r *redis) LoadAccount(ctx context.Context, c admit.Copy) error {
	return r.with(func(s *admit.Redis) error { return s.LoadAccount(ctx, c) })
}

// LoadKey implements admit.Admitter.
func (r *redis) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	return r.with(func(s *admit.Redis) error { return s.LoadKey(ctx, account, digest, state, version) })
}

// Ping implements admit.Admitter.
func (r *redis) Ping(ctx context.Context) error {
	return r.with(func(s *admit.Redis) error { return s.Ping(ctx) })
}

// Get implements keys.Cache.
func (r *redis) Get(ctx context.Context, key string) (string, bool, error) {
	s, err := r.store()
	if err != nil {
		return "", false, err
	}
	return s.Get(ctx, key)
}

// Set implements keys.Cache.
func (r *redis) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	return r.with(func(s *admit.Redis) error { return s.Set(ctx, key, value, ttl) })
}

// Del implements keys.Cache.
func (r *redis) Del(ctx context.Context, key string) error {
	return r.with(func(s *admit.Redis) error { return s.Del(ctx, key) })
}

func (r *redis) with(do func(*admit.Redis) error) error {
	s, err := r.store()
	if err != nil {
		return err
	}
	return do(s)
}

// books are the Books on a followed file.
type books struct{ *followed[ledger.Ledger] }

// KeyByDigest implements keys.Store.
func (b *books) KeyByDigest(ctx context.Context, digest string) (ledger.Key, error) {
	s, err := b.store()
	if err != nil {
		return ledger.Key{}, err
	}
	return s.KeyByDigest(ctx, digest)
}

// PendingOutbox implements keys.Outbox.
func (b *books) PendingOutbox(ctx context.Context, gatewayUID string, limit int) ([]ledger.OutboxItem, error) {
	s, err := b.store()
	if err != nil {
		return nil, err
	}
	return s.PendingOutbox(ctx, gatewayUID, limit)
}

// DoneOutbox implements keys.Outbox.
func (b *books) DoneOutbox(ctx context.Context, ids []int64) error {
	s, err := b.store()
	if err != nil {
		return err
	}
	return s.DoneOutbox(ctx, ids)
}

// Account implements server.Accounts.
func (b *books) Account(ctx context.Context, id string) (ledger.Account, error) {
	s, err := b.store()
	if err != nil {
		return ledger.Account{}, err
	}
	return s.Account(ctx, id)
}

// KeySpends implements server.Accounts.
func (b *books) KeySpends(ctx context.Context, keyID string, windows []ledger.Window) ([]ledger.Spend, error) {
	s, err := b.store()
	if err != nil {
		return nil, err
	}
	return s.KeySpends(ctx, keyID, windows)
}

// Receipt implements server.Accounts.
func (b *books) Receipt(ctx context.Context, account, requestID string) (ledger.Receipt, error) {
	s, err := b.store()
	if err != nil {
		return ledger.Receipt{}, err
	}
	return s.Receipt(ctx, account, requestID)
}

// Settle implements settle.Ledger.
func (b *books) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	s, err := b.store()
	if err != nil {
		return nil, err
	}
	return s.Settle(ctx, rows)
}

// Ready implements settle.Ledger.
func (b *books) Ready(ctx context.Context) error {
	s, err := b.store()
	if err != nil {
		return err
	}
	return s.Ready(ctx)
}
