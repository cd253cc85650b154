package upkeep

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

// Accounts that cannot be copied keep nobody from the others, however many they are.
func TestDeafAccounts(t *testing.T) {
	w := newWorld()
	for i := range 3*maxInVain + 2 {
		id := fmt.Sprintf("ns/%03d", i)
		w.changed, w.deaf[id] = append(w.changed, id), i < 3*maxInVain
	}
	u := w.upkeep()
	for turn := range 4 { // three in vain, and one with what is behind those
		if err := u.tell(t.Context()); (err == nil) != (turn == 3) {
			t.Errorf("turn %d: %v", turn, err)
		}
	}
	if len(w.copies) != 2 || len(w.changed) != 3*maxInVain {
		t.Errorf("%d are copied, %d wait", len(w.copies), len(w.changed))
	}
	clear(w.deaf)
	if err := u.tell(t.Context()); err != nil || len(w.changed) != 0 {
		t.Errorf("%v, %d wait", err, len(w.changed))
	}
}

// stores are a real ledger with an account and a key, whose copies are in a real Redis.
type stores struct {
	ledger.Ledger
	redis *admit.Redis
	mu    sync.Mutex
	now   time.Time
}

func onStores(t *testing.T, test func(t *testing.T, s *stores)) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":    func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "ledger.db") },
		"postgres":  func(t *testing.T) string { return testenv.Postgres(t) },
		"pgbouncer": func(t *testing.T) string { return testenv.PgBouncer(t, testenv.Postgres(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &stores{now: time.Now()}
			var err error
			s.Ledger, err = ledger.Open(t.Context(), url(t), ledger.Options{Now: s.clock})
			must(t, err)
			t.Cleanup(s.Close)
			must(t, s.Migrate(t.Context()))
			s.redis, err = admit.NewRedis(admit.Options{URL: testenv.Redis(t), Timeout: 20 * time.Second})
			must(t, err)
			t.Cleanup(s.redis.Close)
			key := ledger.Key{Digest: strings.Repeat("ab", 32), Account: "ns/a", State: ledger.KeyActive, Source: "manifest", GatewayUID: "g", ObjectName: "ns/k"}
			_, err = s.UpsertKey(t.Context(), ledger.KeyUpsert{Key: key})
			must(t, err)
			must(t, s.redis.LoadKey(t.Context(), "ns/a", "digest", admit.KeyActive, 1))
			test(t, s)
		})
	}
}

func (s *stores) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// load copies the account as a request would.
func (s *stores) load(t *testing.T) {
	t.Helper()
	a, err := s.Account(t.Context(), "ns/a")
	must(t, err)
	must(t, s.redis.LoadAccount(t.Context(), admit.Copy{Account: "ns/a", Spendable: a.Spendable(), Version: a.Version}))
}

func (s *stores) copied(t *testing.T) pricing.Nano {
	t.Helper()
	d, err := s.redis.Preview(t.Context(), admit.Request{ID: "preview", Account: "ns/a", KeyDigest: "digest", KeyVersion: 1, HoldFor: time.Minute})
	must(t, err)
	return d.Spendable
}

func (s *stores) upkeep() *Upkeep {
	return newWorld().upkeep(func(o *Options) {
		o.Ledger, o.Admission, o.Source = s, s.redis, served(func() *snapshot.Index { return prices("v1") })
	})
}

// On real stores a grant that expires takes what is left of it, and the copy in Redis says so without a request.
func TestExpiryReachesTheCopy(t *testing.T) {
	onStores(t, func(t *testing.T, s *stores) {
		_, err := s.Grant(t.Context(), ledger.Grant{ID: "g", Account: "ns/a", Amount: 900, Kind: ledger.GrantPromo, ExpiresAt: s.now.Add(time.Hour).UnixMicro()})
		must(t, err)
		if s.load(t); s.copied(t) != 900 {
			t.Fatalf("before: %d", s.copied(t))
		}
		s.mu.Lock()
		s.now = s.now.Add(2 * time.Hour)
		s.mu.Unlock()
		run(t, s.upkeep())
		eventually(t, "the copy has nothing", func() bool { return s.copied(t) == 0 })
		eventually(t, "prices are stored", func() bool {
			v, err := s.PriceVersion(t.Context(), "v1")
			return err == nil && strings.Contains(string(v.Components), `"inputPerMillion":1`)
		})
		if bad, err := s.Check(t.Context()); err != nil || len(bad) > 0 {
			t.Errorf("%v, %v", bad, err)
		}
	})
}

// dying is an admission store whose caller dies just before, or just after it has copied.
type dying struct {
	*admit.Redis
	after bool
}

func (d dying) LoadAccount(ctx context.Context, c admit.Copy) error {
	if d.after {
		if err := d.Redis.LoadAccount(ctx, c); err != nil {
			return err
		}
	}
	return errDown
}

// What is changed by hand reaches the copy without a request, also where the replica that would have told it dies, and several
// do it at once.
func TestChangesByHandReachTheCopy(t *testing.T) {
	onStores(t, func(t *testing.T, s *stores) {
		ctx, want := t.Context(), pricing.Nano(0)
		s.load(t)
		steps := map[string]func() error{
			"granted": func() error {
				want += 100
				_, err := s.Grant(ctx, ledger.Grant{ID: "g", Account: "ns/a", Amount: 100, Kind: ledger.GrantManual, Reason: "r"})
				return err
			},
			"corrected": func() error {
				want -= 30
				_, err := s.Adjust(ctx, ledger.Adjustment{ID: "c", Account: "ns/a", Amount: -30, Reason: "r"})
				return err
			},
			"overdraft": func() error {
				want += 7
				_, err := s.SetOverdraft(ctx, "ns/a", 7)
				return err
			},
			"settled after a reservation": func() error {
				want -= 20
				_, err := s.Reserve(ctx, ledger.Reservation{RequestID: "r", Account: "ns/a", Amount: 20, Owner: "o", ExpiresAt: s.now.Add(time.Hour).UnixMicro()})
				must(t, err)
				_, err = s.Settle(ctx, []ledger.Settlement{{RequestID: "r", Account: "ns/a", Cost: 20, Charged: 20, Held: 20, Evidence: ledger.EvidenceReported, FinishedAt: s.now.UnixMicro()}})
				return err
			},
		}
		for _, what := range []string{"granted", "corrected", "overdraft", "settled after a reservation"} {
			must(t, steps[what]())
			for _, after := range []bool{false, true} {
				dies := newWorld().upkeep(func(o *Options) { o.Ledger, o.Admission = s, dying{s.redis, after} })
				if err := dies.tell(ctx); err == nil {
					t.Errorf("%s: it says that it was told", what)
				}
			}
			var running sync.WaitGroup
			for range 3 {
				running.Go(func() {
					if err := s.upkeep().tell(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			running.Wait()
			if got := s.copied(t); got != want {
				t.Errorf("%s: the copy has %d, want %d", what, got, want)
			}
			if left, err := s.ChangedAccounts(ctx, "g", "", 10); err != nil || len(left) != 0 {
				t.Errorf("%s: %v is still to be told, %v", what, left, err)
			}
		}
	})
}
