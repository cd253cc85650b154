package failover

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func extension(q admit.Request, to pricing.Nano) admit.Extension {
	return admit.Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: to, Cap: q.Cap}
}

// settleIt settles a request, and confirms it.
func settleIt(t *testing.T, b *books, f *Failover, q admit.Request, cost pricing.Nano) error {
	t.Helper()
	out, err := b.Settle(t.Context(), []ledger.Settlement{settlement(q, cost)})
	must(t, err)
	return f.Confirm(t.Context(), []admit.Confirmation{{RequestID: q.ID, Account: q.Account, Balance: out[0].Account.Balance, Version: out[0].Account.Version}})
}

// A request of the fallback from its beginning to its end: all of it in the ledger, and in the book of Redis' owner.
func TestLife(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		p := &primary{}
		f := without(b, p)
		q := b.request(t, 100, limited(snapshot.OutputTokensPerMinute, 600, 600, 500))
		must(t, admitted(f.Admit(t.Context(), q)))
		d, err := f.Extend(t.Context(), extension(q, 300))
		must(t, err)
		same(t, "extended", []any{d.Outcome, d.Held, d.Fits, d.Fallback, b.held(t, "ns/acme")}, []any{admit.Admitted, 300, 500, true, 300})
		for _, to := range []pricing.Nano{300, 50} {
			d, err = f.Extend(t.Context(), extension(q, to))
			must(t, err)
			same(t, "twice is once", []any{d.Outcome, d.Held, b.held(t, "ns/acme")}, []any{admit.Admitted, 300, 300})
		}
		d, err = f.Extend(t.Context(), extension(q, 501))
		must(t, err)
		same(t, "too much", []any{d.Outcome, d.Held, d.Fits, d.Refusal.Rule, b.held(t, "ns/acme")}, []any{admit.InsufficientCredits, 300, 500, admit.RuleCredits, 300})
		amounts := []pricing.Nano{}
		for _, h := range p.adopted {
			amounts = append(amounts, h.Amount)
			same(t, "adopted", []any{h.RequestID, h.Account, h.KeyDigest, string(h.Record), h.Until.Sub(h.At)}, []any{q.ID, q.Account, digest, string(q.Record), q.HoldFor})
		}
		same(t, "amounts", amounts, []pricing.Nano{100, 300})

		p.called()
		end := finish(t, q, 120)
		end.OutputTokens = 200
		for range 2 {
			must(t, f.Finish(t.Context(), end))
		}
		same(t, "the owner has noted it, Redis was not asked", p.called(), []string{"note " + q.ID, "note " + q.ID})
		same(t, "its cost", b.held(t, "ns/acme"), 120)
		d, err = f.Preview(t.Context(), b.request(t, 0, limited(snapshot.OutputTokensPerMinute, 600, 600, 0)))
		must(t, err)
		if d.Tokens.Remaining < 400 || d.Tokens.Remaining > 430 { // 10 come back each second
			t.Errorf("%d tokens remain", d.Tokens.Remaining)
		}
		d, err = f.Extend(t.Context(), extension(q, 400))
		must(t, err)
		same(t, "it has ended", d.Outcome, admit.UnknownHold)

		if err := settleIt(t, b, f, q, 120); !errors.Is(err, ErrAway) {
			t.Errorf("confirmed: %v", err)
		}
		same(t, "settled", []any{b.held(t, "ns/acme"), f.book.size()}, []any{0, 0})
		a, err := b.Account(t.Context(), "ns/acme")
		must(t, err)
		same(t, "charged", a.Balance, 880)
	})
}

// What nobody finishes, and what a process that died had finished, is found and says what to post.
func TestWhatTheDeadLeave(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		f := without(b, &primary{})
		f.o.Keep = time.Millisecond
		running, ended := b.request(t, 100), b.request(t, 100)
		must(t, admitted(f.Admit(t.Context(), running)))
		must(t, admitted(f.Admit(t.Context(), ended)))
		must(t, f.Finish(t.Context(), finish(t, ended, 30)))
		var left []ledger.Reservation
		eventually(t, "they expire", func() bool {
			var err error
			left, err = b.ExpiredReservations(t.Context(), 10)
			must(t, err)
			return len(left) == 2
		})
		for _, r := range left {
			want, post := pricing.Nano(100), settlement(running, 0)
			if r.RequestID == ended.ID {
				want, post = 30, settlement(ended, 30)
				same(t, "finished", []any{r.Finished, r.Record.Charged}, []any{true, 30})
			} else if d := cmp.Diff(&post, r.Orphan); d != "" {
				t.Error(d)
			}
			same(t, "reservation", []any{r.Account, r.KeyDigest, r.Owner, r.Amount}, []any{post.Account, digest, "a", want})
		}
		f.o.Keep = time.Hour
		f.renew(t.Context())
		left, err := b.ExpiredReservations(t.Context(), 10)
		must(t, err)
		same(t, "what runs is renewed", len(left), 1)
	})
}

// A release is made where the hold is, now or later.
func TestRelease(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		p := &primary{}
		f := without(b, p)
		first, second, third := b.request(t, 100), b.request(t, 100), b.request(t, 100)
		for _, q := range []admit.Request{first, second, third} {
			must(t, admitted(f.Admit(t.Context(), q)))
		}
		must(t, f.Release(t.Context(), "ns/acme", first.ID))
		same(t, "released", b.held(t, "ns/acme"), 200)
		same(t, "confirmed as a release", errors.Is(f.Confirm(t.Context(), []admit.Confirmation{{RequestID: second.ID, Account: "ns/acme"}}), ErrAway), true)
		same(t, "released too", b.held(t, "ns/acme"), 100)
		b.away.Store(true)
		must(t, f.Release(t.Context(), "ns/acme", third.ID))
		f.endReserved(t.Context())
		b.away.Store(false)
		same(t, "not yet", b.held(t, "ns/acme"), 100)
		f.endReserved(t.Context())
		same(t, "later", b.held(t, "ns/acme"), 0)
		p.set(nil)
		p.called()
		must(t, f.catchUp(t.Context(), 0))
		released := map[string]bool{}
		for _, call := range p.called() {
			released[call] = true
		}
		same(t, "in Redis", released, map[string]bool{"probe": true, "release " + first.ID: true, "release " + third.ID: true, "sync": true})
	})
}

// An answer that did not come may have been an admission: in Redis it is released if the fallback refuses, and is the fallback's if
// that admits; in the ledger it is released.
func TestDoubt(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		p := &primary{hang: true}
		f := inline(Options{Primary: p, Ledger: b, Owner: "a", Timeout: time.Millisecond})
		refused, taken := b.request(t, 501), b.request(t, 500)
		d, err := f.Admit(t.Context(), refused)
		must(t, err)
		same(t, "refused", d.Outcome, admit.InsufficientCredits)
		same(t, "to be released", f.ends.list(), map[string]end{refused.ID: {account: "ns/acme", redis: true}})
		must(t, admitted(f.Admit(t.Context(), taken)))
		same(t, "adopted", []any{len(p.adopted), p.adopted[0].RequestID}, []any{1, taken.ID})
		same(t, "nothing more to release", len(f.ends.list()), 1)

		p.set(nil)
		f.tidy(t.Context())
		same(t, "released", len(f.ends.list()), 0)

		opened(f)
		b.away.Store(true)
		lost := b.request(t, 1)
		_, err = f.Admit(t.Context(), lost)
		same(t, "no answer", err != nil, true)
		f.o.Ledger = b.Ledger // the call that was given up ran
		_, err = b.Ledger.Reserve(t.Context(), ledger.Reservation{RequestID: lost.ID, Account: "ns/acme", Owner: "a", ExpiresAt: 1 << 60})
		must(t, err)
		same(t, "to be released twice", f.ends.list()[lost.ID], end{account: "ns/acme", ledger: releases})
		for range releases {
			f.endReserved(t.Context())
		}
		same(t, "released in the ledger", len(f.ends.list()), 0)
	})
}

// What Redis admitted goes on without it: an extension is held in the ledger, and goes with the settlement.
func TestExtendWhatRedisAdmitted(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		p := &primary{}
		f := inline(Options{Primary: p, Ledger: b, Owner: "a"})
		q := b.request(t, 100, func(q *admit.Request) { q.Cap = &admit.Cap{Amount: 700, Period: "Day"} })
		must(t, admitted(f.Admit(t.Context(), q)))
		d, err := f.Extend(t.Context(), extension(q, 150))
		must(t, err)
		same(t, "by Redis", []any{d.Fallback, b.held(t, "ns/acme")}, []any{false, 0})
		p.set(errDown)
		for _, to := range []pricing.Nano{400, 400, 600} {
			d, err = f.Extend(t.Context(), extension(q, to))
			must(t, err)
			same(t, "by the ledger", []any{d.Outcome, d.Held, b.held(t, "ns/acme")}, []any{admit.Admitted, to, to - 150})
		}
		same(t, "the owner knows", p.adopted[len(p.adopted)-1].Amount, 600)
		d, err = f.Extend(t.Context(), extension(q, 701))
		must(t, err)
		same(t, "the cap", []any{d.Outcome, d.Held, d.Fits}, []any{admit.CapReached, 600, 650})
		d, err = f.Extend(t.Context(), extension(q, 651))
		must(t, err)
		same(t, "the credits", []any{d.Outcome, d.Held, d.Fits}, []any{admit.InsufficientCredits, 600, 650})
		must(t, f.Finish(t.Context(), finish(t, q, 580)))
		same(t, "finished", b.held(t, "ns/acme"), 580)
		same(t, "settled", settleIt(t, b, f, q, 580) != nil, true)
		same(t, "nothing is left", []any{b.held(t, "ns/acme"), f.book.size()}, []any{0, 0})
		if d, err := f.Extend(t.Context(), extension(request(1), 2)); err == nil {
			t.Errorf("nobody's: %+v", d)
		}
	})
}

// The fallback asks the ledger about keys, at most once a second, and sees what has changed since.
func TestKeyStates(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		f := without(b, &primary{})
		now := clock
		f.o.Now = func() time.Time { return now }
		ask := func(q admit.Request) admit.Outcome {
			d, err := f.Admit(t.Context(), q)
			must(t, err)
			return d.Outcome
		}
		q := b.request(t, 1)
		again := func() admit.Request {
			q.ID, q.Record = newID(), nil
			return q
		}
		same(t, "good", ask(again()), admit.Admitted)
		b.reads.Store(0)
		for range 10 {
			same(t, "good", ask(again()), admit.Admitted)
		}
		same(t, "reads within a second", b.reads.Load(), int64(0))
		_, err := b.RevokeKey(t.Context(), digest)
		must(t, err)
		now = now.Add(time.Second)
		same(t, "revoked", ask(again()), admit.KeyRefused)
		q.KeyDigest = nobody
		same(t, "nobody's", ask(again()), admit.KeyRefused)

		row := b.key(t, newDigest(), "ns/acme")
		q.KeyDigest, q.KeyVersion = row.Digest, row.Version-1
		same(t, "a row of before", ask(again()), admit.ReloadKey)
		q.KeyVersion = row.Version
		same(t, "read again", ask(again()), admit.Admitted)
		q.Account = "ns/other"
		same(t, "it has moved", ask(again()), admit.ReloadKey)
		must(t, f.LoadKey(t.Context(), "ns/acme", row.Digest, admit.KeyActive, row.Version))
		b.reads.Store(0)
		q.Account = "ns/acme"
		same(t, "good", ask(again()), admit.Admitted)
		same(t, "loaded is read again", b.reads.Load(), int64(1))
	})
}

// A name goes to whoever claimed it first, in Redis or in the ledger, whichever is there.
func TestClaims(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		p := &primary{}
		now := clock
		f := inline(Options{Primary: p, Ledger: b, Owner: "a", Now: func() time.Time { return now }})
		claim := func(name, id string) string {
			holder, err := f.Claim(t.Context(), "ns/acme", name, id, time.Hour)
			must(t, err)
			return holder
		}
		same(t, "by Redis", claim("one", "r1"), "r1")
		p.set(errDown)
		same(t, "by the ledger", []string{claim("two", "r2"), claim("two", "r3"), claim("two", "r2")}, []string{"r2", "r2", "r2"})
		same(t, "what Redis gave", claim("one", "r4"), "r1")
		must(t, f.GiveUp(t.Context(), "ns/acme", "two", "r3"))
		same(t, "not his", claim("two", "r3"), "r2")
		must(t, f.GiveUp(t.Context(), "ns/acme", "two", "r2"))
		same(t, "given up", claim("two", "r5"), "r5")

		opened(f)
		must(t, f.GiveUp(t.Context(), "ns/acme", "three", "r6"))
		p.set(nil)
		p.called()
		same(t, "back", f.probe(t.Context(), 0), true)
		told := p.called()
		slices.Sort(told)
		// r2's, and r3's, which Redis may have given, and r5's, which the ledger gave.
		same(t, "given up in Redis, and told", told, []string{"claim two", "give up three", "give up two", "give up two", "probe", "sync"})
		same(t, "the ledger is asked too", claim("two", "r7"), "r5")
		other := inline(Options{Primary: p, Ledger: b, Owner: "b", Now: func() time.Time { return now }})
		p.called()
		holder, err := other.Claim(t.Context(), "ns/acme", "two", "r8", time.Hour)
		must(t, err)
		same(t, "by another replica, too", holder, "r5")
		same(t, "which is not his in Redis either", p.called(), []string{"claim two", "give up two"})
		now = now.Add(time.Hour)
		same(t, "another", claim("four", "r9"), "r9")
		f.tidy(t.Context())
		same(t, "remembered", f.claims.known.order.Len(), 1)
	})
}

// The same request twice at once is one request.
func TestOneRequestTwiceAtOnce(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		f := without(b, &primary{})
		q := b.request(t, 100, limited(snapshot.RequestsPerDay, 1, 0, 1))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := admitted(f.Admit(context.Background(), q)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		same(t, "held", b.held(t, "ns/acme"), 100)
	})
}

// What cannot be told to a Redis that answers badly is no error, unless it is a key that is to be refused.
func TestLoads(t *testing.T) {
	p := &primary{err: errDown}
	f := inline(Options{Primary: p})
	same(t, "active", f.LoadKey(t.Context(), "ns/acme", digest, admit.KeyActive, 1), nil)
	same(t, "revoked", errors.Is(f.LoadKey(t.Context(), "ns/acme", digest, admit.KeyRevoked, 1), errDown), true)
	p.set(nil)
	_, ok, err := f.Get(t.Context(), "x")
	same(t, "cached", []any{ok, err}, []any{true, nil})
	p.called()
	for _, err := range []error{
		f.LoadAccount(t.Context(), admit.Copy{Account: "a"}), f.LoadSpend(t.Context(), "a", digest, admit.Spend{}),
		f.LoadKey(t.Context(), "a", digest, admit.KeyRevoked, 1), f.Set(t.Context(), "x", "y", 1), f.Del(t.Context(), "x"), f.Ping(t.Context()),
		f.Finish(t.Context(), admit.Finish{RequestID: "r"}), f.Release(t.Context(), "a", "r"),
	} {
		must(t, err)
	}
	if err := f.Finish(t.Context(), admit.Finish{Actual: -1}); !errors.Is(err, admit.ErrRange) {
		t.Error(err)
	}
	_, err = f.Preview(t.Context(), request(1))
	must(t, err)
	want := []string{"load account a", "load spend a", "load key revoked", "set x", "del x", "ping", "finish r", "release r"}
	same(t, "calls", p.called()[:len(want)], want)
}
