package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// errNoLedger says that the ledger's URL file names none (yet).
var errNoLedger = errors.New("the ledger's URL file cannot be used")

// books are the Books on the ledger that a file names. One that was replaced is closed one look later, when no call runs on it
// any more.
type books struct {
	open func(url string) (ledger.Ledger, error)

	mu  sync.RWMutex
	now ledger.Ledger // nil: none yet
	old []ledger.Ledger
}

func openBooks(url string) (ledger.Ledger, error) {
	return ledger.Open(context.Background(), url, ledger.Options{})
}

// point opens another ledger.
func (b *books) point(url string) error {
	next, err := b.open(url)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		b.old = append(b.old, b.now)
	}
	b.now = next
	return nil
}

// tidy closes what was replaced.
func (b *books) tidy() {
	b.mu.Lock()
	old := b.old
	b.old = nil
	b.mu.Unlock()
	for _, l := range old {
		l.Close()
	}
}

func (b *books) close() {
	b.tidy()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		b.now.Close()
		b.now = nil
	}
}

func (b *books) store() (ledger.Ledger, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.now == nil {
		return nil, errNoLedger
	}
	return b.now, nil
}

// ask asks the ledger of now; tell tells it.
func ask[A any](b *books, call func(ledger.Ledger) (A, error)) (A, error) {
	s, err := b.store()
	if err != nil {
		var none A
		return none, err
	}
	return call(s)
}

func tell(b *books, call func(ledger.Ledger) error) error {
	s, err := b.store()
	if err != nil {
		return err
	}
	return call(s)
}

// KeyByDigest implements keys.Store.
func (b *books) KeyByDigest(ctx context.Context, digest string) (ledger.Key, error) {
	return ask(b, func(s ledger.Ledger) (ledger.Key, error) { return s.KeyByDigest(ctx, digest) })
}

// PendingOutbox implements keys.Outbox.
func (b *books) PendingOutbox(ctx context.Context, gatewayUID string, limit int) ([]ledger.OutboxItem, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.OutboxItem, error) { return s.PendingOutbox(ctx, gatewayUID, limit) })
}

// DoneOutbox implements keys.Outbox.
func (b *books) DoneOutbox(ctx context.Context, ids []int64) error {
	return tell(b, func(s ledger.Ledger) error { return s.DoneOutbox(ctx, ids) })
}

// Account implements server.Accounts.
func (b *books) Account(ctx context.Context, id string) (ledger.Account, error) {
	return ask(b, func(s ledger.Ledger) (ledger.Account, error) { return s.Account(ctx, id) })
}

// Accounts implements reap.Ledger.
func (b *books) Accounts(ctx context.Context, ids []string) ([]ledger.Account, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.Account, error) { return s.Accounts(ctx, ids) })
}

// ChangedAccounts implements upkeep.Ledger.
func (b *books) ChangedAccounts(ctx context.Context, gatewayUID, after string, limit int) ([]ledger.ChangedAccount, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.ChangedAccount, error) {
		return s.ChangedAccounts(ctx, gatewayUID, after, limit)
	})
}

// DoneAccount implements upkeep.Ledger.
func (b *books) DoneAccount(ctx context.Context, c ledger.ChangedAccount) error {
	return tell(b, func(s ledger.Ledger) error { return s.DoneAccount(ctx, c) })
}

// KeySpends implements server.Accounts.
func (b *books) KeySpends(ctx context.Context, keyID string, windows []ledger.Window) ([]ledger.Spend, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.Spend, error) { return s.KeySpends(ctx, keyID, windows) })
}

// Receipt implements server.Accounts.
func (b *books) Receipt(ctx context.Context, account, requestID string) (ledger.Receipt, error) {
	return ask(b, func(s ledger.Ledger) (ledger.Receipt, error) { return s.Receipt(ctx, account, requestID) })
}

// Settle implements settle.Ledger.
func (b *books) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.Settled, error) { return s.Settle(ctx, rows) })
}

// Ready implements settle.Ledger.
func (b *books) Ready(ctx context.Context) error {
	return tell(b, func(s ledger.Ledger) error { return s.Ready(ctx) })
}

// RecentOutput is for the forecast's History.
func (b *books) RecentOutput(ctx context.Context, keyDigest, model string, most int) ([]int64, error) {
	return ask(b, func(s ledger.Ledger) ([]int64, error) { return s.RecentOutput(ctx, keyDigest, model, most) })
}

// Current implements server.Accounts.
func (b *books) Current(ctx context.Context, account string) (a ledger.Account, next int64, err error) {
	err = tell(b, func(s ledger.Ledger) (err error) {
		a, next, err = s.Current(ctx, account)
		return err
	})
	return a, next, err
}

// PostDue implements upkeep.Ledger.
func (b *books) PostDue(ctx context.Context, limit int) ([]ledger.Account, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.Account, error) { return s.PostDue(ctx, limit) })
}

// MakePartitions implements upkeep.Ledger.
func (b *books) MakePartitions(ctx context.Context, months int) (int, error) {
	return ask(b, func(s ledger.Ledger) (int, error) { return s.MakePartitions(ctx, months) })
}

// PutPriceVersions implements upkeep.Ledger.
func (b *books) PutPriceVersions(ctx context.Context, versions []ledger.PriceVersion) error {
	return tell(b, func(s ledger.Ledger) error { return s.PutPriceVersions(ctx, versions) })
}

// Reserve implements failover.Ledger.
func (b *books) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	return ask(b, func(s ledger.Ledger) (ledger.Reserved, error) { return s.Reserve(ctx, r) })
}

// ExtendReservation implements failover.Ledger.
func (b *books) ExtendReservation(ctx context.Context, account, requestID string, more pricing.Nano, divisor int64) (ledger.Reserved, error) {
	return ask(b, func(s ledger.Ledger) (ledger.Reserved, error) {
		return s.ExtendReservation(ctx, account, requestID, more, divisor)
	})
}

// FinishReservation implements failover.Ledger.
func (b *books) FinishReservation(ctx context.Context, e ledger.Settlement) (ledger.Reserved, error) {
	return ask(b, func(s ledger.Ledger) (ledger.Reserved, error) { return s.FinishReservation(ctx, e) })
}

// ReleaseReservation implements failover.Ledger.
func (b *books) ReleaseReservation(ctx context.Context, account, requestID string) error {
	return tell(b, func(s ledger.Ledger) error { return s.ReleaseReservation(ctx, account, requestID) })
}

// RenewReservations implements failover.Ledger.
func (b *books) RenewReservations(ctx context.Context, owner string, until int64) (int, error) {
	return ask(b, func(s ledger.Ledger) (int, error) { return s.RenewReservations(ctx, owner, until) })
}

// ExpiredReservations implements reap.Ledger.
func (b *books) ExpiredReservations(ctx context.Context, limit int) ([]ledger.Reservation, error) {
	return ask(b, func(s ledger.Ledger) ([]ledger.Reservation, error) { return s.ExpiredReservations(ctx, limit) })
}

// Claim implements failover.Ledger.
func (b *books) Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (string, error) {
	return ask(b, func(s ledger.Ledger) (string, error) { return s.Claim(ctx, account, name, requestID, keep) })
}

// GiveUp implements failover.Ledger.
func (b *books) GiveUp(ctx context.Context, account, name, requestID string) error {
	return tell(b, func(s ledger.Ledger) error { return s.GiveUp(ctx, account, name, requestID) })
}
