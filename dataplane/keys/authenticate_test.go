package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func (f *fixture) authenticator(o GuardOptions) *Authenticator {
	o.Now = f.clock
	return &Authenticator{Resolver: f.a, Guard: NewGuard(o)}
}

func (f *fixture) auth(a *Authenticator, plain, ip string, wantErr error, reads int) {
	f.t.Helper()
	before := f.store.count()
	want := row
	if wantErr != nil {
		want = ledger.Key{}
	}
	k, err := a.Authenticate(context.Background(), plain, ip)
	wantKey(f.t, k, err, want, wantErr)
	if n := f.store.count() - before; n != reads {
		f.t.Fatalf("%d store reads, want %d", n, reads)
	}
}

func garbage(i int) string { return fmt.Sprintf("%s%043d", LivePrefix, i) }

func TestAuthenticate(t *testing.T) {
	f := newFixture(t)
	a := f.authenticator(GuardOptions{PerSecond: 1, Burst: 2 * costGarbage})
	f.auth(a, declared, "1.1.1.1", nil, 1)
	for i := range 100 {
		f.auth(a, "sk-garbage", "1.1.1.1", ErrMalformed, 0)
		f.auth(a, fmt.Sprintf("lyr_test_%016d", i), "1.1.1.1", ErrReserved, 0)
	}
	f.auth(a, garbage(1), "1.1.1.1", ErrUnknown, 1)
	f.auth(a, garbage(1), "1.1.1.1", ErrUnknown, 0) // remembered: no cost, no charge
	f.auth(a, garbage(2), "1.1.1.1", ErrUnknown, 1)
	for i := range 100 {
		f.auth(a, garbage(100+i), "1.1.1.1", ErrThrottled, 0)
	}
	f.auth(a, declared, "1.1.1.1", nil, 0)          // a known good key is not slowed
	f.auth(a, garbage(3), "2.2.2.2", ErrUnknown, 1) // nor is another address
	f.pass(999 * time.Millisecond)
	f.auth(a, garbage(4), "1.1.1.1", ErrThrottled, 0)
	f.pass(time.Millisecond)
	f.auth(a, garbage(4), "1.1.1.1", ErrUnknown, 1) // one token let it in, three are owed
	f.pass(2 * time.Second)
	f.auth(a, garbage(5), "1.1.1.1", ErrThrottled, 0)
	f.pass(time.Second)
	f.auth(a, garbage(5), "1.1.1.1", ErrUnknown, 1)
}

// A key whose copy has aged is read again although its address fails all the time.
func TestGoodKeyOfABadAddress(t *testing.T) {
	f := newFixture(t)
	a := f.authenticator(GuardOptions{PerSecond: 0.001, Burst: 1})
	f.auth(a, declared, "1.1.1.1", nil, 1)
	f.auth(a, garbage(1), "1.1.1.1", ErrUnknown, 1)
	f.auth(a, garbage(2), "1.1.1.1", ErrThrottled, 0)
	f.pass(MaxAge)
	f.auth(a, declared, "1.1.1.1", nil, 1)
}

// Success costs nothing: an address may send as many good keys as it has.
func TestManyGoodKeysOfOneAddress(t *testing.T) {
	f := newFixture(t)
	a := f.authenticator(GuardOptions{PerSecond: 0.001, Burst: 1})
	for range 300 {
		plain, err := Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		f.store.set(ledger.Key{ID: "k", Digest: Digest(plain), Account: "ns/x", State: ledger.KeyActive})
		if _, err := a.Authenticate(context.Background(), plain, "1.1.1.1"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPenalty(t *testing.T) {
	generated, err := Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for plain, want := range map[string]int{generated: costUnknown, garbage(1): costGarbage, declared: costGarbage} {
		f := newFixture(t)
		delete(f.store.rows, row.Digest)
		a := f.authenticator(GuardOptions{PerSecond: 0.001, Burst: costGarbage})
		f.auth(a, plain, "1.1.1.1", ErrUnknown, 1)
		if allowed := a.Guard.Allow("1.1.1.1"); allowed != (want < costGarbage) {
			t.Errorf("allowed after a penalty of %d: %v", want, allowed)
		}
	}
}

func TestAuthenticateStoreDown(t *testing.T) {
	f := newFixture(t)
	f.store.err = errors.New("down")
	a := f.authenticator(GuardOptions{Burst: 1})
	for range 5 { // an outage is nobody's failure
		f.auth(a, declared, "1.1.1.1", ErrUnavailable, 1)
	}
}

func TestGuardIsBounded(t *testing.T) {
	g := NewGuard(GuardOptions{Addresses: 10, PerSecond: 0.001, Burst: 1, Now: func() time.Time { return time.Unix(1, 0) }})
	for i := range 100 {
		g.Failed(fmt.Sprint(i))
	}
	if n := g.ips.len(); n != 10 {
		t.Errorf("%d addresses are remembered, want 10", n)
	}
	if g.Allow("99") || !g.Allow("1") || !g.Allow("never seen") {
		t.Error("not the last ones are remembered")
	}
}
