package reap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/testenv"
)

const (
	account = "ns/a"
	digest  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	lease   = 300 * time.Millisecond
	begin   = pricing.Nano(8_999_999_999_999_999) // as much as there may be: what is not exact shows
)

// stores are a real Redis and a real ledger, with one account.
type stores struct {
	t             *testing.T
	redis, ledger string // URLs
	books         ledger.Ledger
}

func onBoth(t *testing.T, test func(t *testing.T, s *stores)) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "ledger.db") },
		"postgres": func(t *testing.T) string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &stores{t: t, redis: testenv.Redis(t), ledger: url(t)}
			var err error
			if s.books, err = ledger.Open(t.Context(), s.ledger, ledger.Options{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.books.Close)
			s.must(s.books.Migrate(t.Context()))
			_, err = s.books.Grant(t.Context(), ledger.Grant{ID: "g", Account: account, Amount: begin, Kind: ledger.GrantPurchased})
			s.must(err)
			test(t, s)
		})
	}
}

func (s *stores) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// process is one that holds in Redis under a name, with the account and a key loaded.
func process(ctx context.Context, url, name string, books ledger.Ledger) (*admit.Redis, error) {
	r, err := admit.NewRedis(admit.Options{URL: url, Timeout: 20 * time.Second, KeyAge: 1000 * time.Hour, Owner: name, Lease: lease, SyncEvery: lease})
	if err != nil {
		return nil, err
	}
	a, err := books.Account(ctx, account)
	if err == nil {
		err = r.LoadAccount(ctx, admit.Copy{Account: account, Spendable: a.Spendable(), Version: a.Version})
	}
	return r, errors.Join(err, r.LoadKey(ctx, account, digest, admit.KeyActive, 1))
}

func (s *stores) process(name string) *admit.Redis {
	s.t.Helper()
	r, err := process(s.t.Context(), s.redis, name, s.books)
	s.must(err)
	s.t.Cleanup(r.Close)
	return r
}

// want is a request that holds 100.
func want(id string, record []byte) admit.Request {
	return admit.Request{
		ID: id, Account: account, KeyDigest: digest, KeyVersion: 1, Hold: 100, Record: record, HoldFor: time.Hour,
	}
}

func (s *stores) admit(r *admit.Redis, id string, record []byte) {
	s.t.Helper()
	d, err := r.Admit(s.t.Context(), want(id, record))
	if s.must(err); d.Outcome != admit.Admitted {
		s.t.Fatalf("%s: %+v", id, d)
	}
}

func (s *stores) reaper(r *admit.Redis, change ...func(*Options)) *Reaper {
	o := Options{Owner: r, Ledger: s.books, Confirmer: r, Log: slog.New(slog.DiscardHandler), Grace: -1, Patience: time.Nanosecond}
	for _, c := range change {
		c(&o)
	}
	return New(o)
}

// copied is what Redis may spend of the account, and what is held.
func (s *stores) copied(r *admit.Redis) (spendable, reserved pricing.Nano) {
	s.t.Helper()
	q := want("preview", nil)
	q.Hold = 0
	d, err := r.Preview(s.t.Context(), q)
	if s.must(err); d.Outcome == admit.ReloadAccount { // as after a process came back that held on it
		a, err := s.books.Account(s.t.Context(), account)
		s.must(err)
		s.must(r.LoadAccount(s.t.Context(), admit.Copy{Account: account, Spendable: a.Spendable(), Version: a.Version}))
		d, err = r.Preview(s.t.Context(), q)
		s.must(err)
	}
	if d.Outcome != admit.Admitted {
		s.t.Fatalf("%+v", d)
	}
	return d.Spendable, d.Reserved
}

// quiet polls until Redis holds nothing and its copy is the ledger's (P5), then checks the ledger (P1, P2, P3) and what is
// left of the account.
func (s *stores) quiet(r *admit.Redis, charged pricing.Nano, round func()) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		round()
		a, err := s.books.Account(s.t.Context(), account)
		s.must(err)
		spendable, reserved := s.copied(r)
		if a.Balance == begin-charged && spendable == a.Balance && reserved == 0 {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("charged %d, want %d; Redis has %d and holds %d", begin-a.Balance, charged, spendable, reserved)
		}
		<-time.After(20 * time.Millisecond)
	}
	if bad, err := s.books.Check(s.t.Context()); err != nil || len(bad) > 0 {
		s.t.Errorf("the ledger is not sound: %v, %v", bad, err)
	}
}

func (s *stores) receipt(id string) ledger.Receipt {
	s.t.Helper()
	r, err := s.books.Receipt(s.t.Context(), account, id)
	s.must(err)
	return r
}

// A process dies. What it had finished is charged as it was, the rest by its policy, and a second time nothing; a late end
// is adjusted.
func TestDeadProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		dead, live := s.process("dead"), s.process("live")
		for id, policy := range map[string]string{"none": ledger.OrphanNone, "input": ledger.OrphanInput, "hold": ledger.OrphanHold} {
			s.admit(dead, id, encoded(t, unfinished(id, policy)))
		}
		s.admit(dead, "unknown", nil)
		s.admit(dead, "broken", []byte("{"))
		s.admit(dead, "ended", encoded(t, unfinished("ended", ledger.OrphanHold)))
		s.must(dead.Finish(t.Context(), admit.Finish{RequestID: "ended", Account: account, KeyDigest: digest, Actual: 41, Record: encoded(t, finished("ended"))}))
		r := s.reaper(live)
		s.quiet(live, 30+100+41, func() { r.Round(t.Context()) })
		for id, evidence := range map[string]ledger.Evidence{"none": ledger.EvidenceOrphan, "unknown": ledger.EvidenceOrphan, "broken": ledger.EvidenceOrphan, "ended": ledger.EvidenceReported} {
			if got := s.receipt(id).Evidence; got != evidence {
				t.Errorf("%s: %s", id, got)
			}
		}
		late := finished("hold")
		late.Held = 100
		_, err := s.books.Settle(t.Context(), []ledger.Settlement{late})
		s.must(err)
		if got := s.receipt("hold"); got.Charged != 41 || got.Floor != 100 || got.Evidence != ledger.EvidenceReported {
			t.Errorf("adjusted: %+v", got)
		}
		a, err := s.books.Account(t.Context(), account)
		if s.must(err); a.Balance != begin-30-41-41 {
			t.Errorf("charged %d", begin-a.Balance)
		}
	})
}

// Three reapers at once, two of which lose answers of the ledger, charge each request once.
func TestReapersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		dead := s.process("dead")
		const requests = 60
		for i := range requests {
			id := fmt.Sprint(i)
			if s.admit(dead, id, encoded(t, unfinished(id, ledger.OrphanInput))); i%2 == 0 {
				s.must(dead.Finish(t.Context(), admit.Finish{RequestID: id, Account: account, KeyDigest: digest, Actual: 41, Record: encoded(t, finished(id))}))
			}
		}
		var all []*Reaper
		var live *admit.Redis
		for i := range 3 {
			live = s.process(fmt.Sprint("live", i))
			all = append(all, s.reaper(live, func(o *Options) {
				if i > 0 {
					o.Ledger = &forgetful{Ledger: s.books}
				}
			}))
		}
		s.quiet(live, requests/2*(30+41), func() {
			var running sync.WaitGroup
			for _, r := range all {
				running.Go(func() { r.Round(t.Context()) })
			}
			running.Wait()
		})
		posted := 0
		for _, r := range all {
			posted += r.stats.reaped[kindFinished] + r.stats.reaped[kindOrphan]
		}
		if posted > requests {
			t.Errorf("%d requests are counted of %d", posted, requests)
		}
	})
}

// forgetful loses every second answer, after it has committed: as a reaper that dies there, and begins anew.
type forgetful struct {
	ledger.Ledger
	n int
}

func (f *forgetful) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	out, err := f.Ledger.Settle(ctx, rows)
	if f.n++; f.n%2 == 1 {
		return nil, errDown
	}
	return out, err
}

// What the ledger holds for a process that is gone is settled; an account that this Redis has never seen is settled too.
func TestDeadReservations(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		live := s.process("live")
		_, err := s.books.Grant(t.Context(), ledger.Grant{ID: "g2", Account: "ns/elsewhere", Amount: 1000, Kind: ledger.GrantPurchased})
		s.must(err)
		past := time.Now().Add(-time.Second).UnixMicro()
		for _, id := range []string{"running", "ended", "elsewhere"} {
			v := ledger.Reservation{RequestID: id, Account: account, Amount: 100, Owner: "dead", ExpiresAt: past, KeyDigest: digest, Orphan: new(unfinished(id, ledger.OrphanInput))}
			if id == "elsewhere" {
				v.Account, v.Orphan.Account = "ns/elsewhere", "ns/elsewhere"
			}
			_, err := s.books.Reserve(t.Context(), v)
			s.must(err)
		}
		_, err = s.books.Reserve(t.Context(), ledger.Reservation{RequestID: "mine", Account: account, Amount: 100, Owner: "live", ExpiresAt: past})
		s.must(err)
		_, err = s.books.FinishReservation(t.Context(), finished("ended"))
		s.must(err)
		r := s.reaper(live, func(o *Options) { o.Self = "live" })
		s.quiet(live, 30+41, func() { r.Round(t.Context()) })
		left, err := s.books.ExpiredReservations(t.Context(), 10)
		if s.must(err); len(left) != 1 || left[0].RequestID != "mine" {
			t.Errorf("left %+v", left)
		}
		a, err := s.books.Account(t.Context(), "ns/elsewhere")
		if s.must(err); a.Balance != 970 {
			t.Errorf("the other account: %+v", a)
		}
	})
}

// A process that was asleep past its lease does not take itself for dead: what it holds itself it never charges.
func TestNeverItself(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		self := s.process("self")
		s.admit(self, "running", encoded(t, unfinished("running", ledger.OrphanHold)))
		r := s.reaper(self)
		<-time.After(2 * lease)
		for range 5 {
			if n := r.Round(t.Context()); n != 0 {
				t.Fatalf("%d of its own are settled", n)
			}
		}
		if _, reserved := s.copied(self); reserved != 100 {
			t.Errorf("%d are held", reserved)
		}
		if _, err := s.books.Receipt(t.Context(), account, "running"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a receipt: %v", err)
		}
	})
}
