package gateway

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// A replica is killed while the ledger is away: what it has answered is posted, by its own log when it is started again, or, where the
// log went with its pod, by the others out of its holds; what it has not answered is charged the floor, if Redis still knows of it.
func TestKilledReplica(t *testing.T) {
	for name, c := range map[string]struct {
		others           int
		restarted, empty bool
	}{
		"restarted":                           {restarted: true},
		"restarted, and Redis is empty":       {restarted: true, empty: true},
		"its pod is gone":                     {others: 2},
		"restarted, and others were as quick": {others: 2, restarted: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.others, nil)
			log, orphans := t.TempDir(), 1
			killed := r.child(log)
			r.answers(1, r.last())
			r.postgres.close()
			r.answers(6, r.last())
			go func() { _, _ = http.DefaultClient.Do(request(t, killed.api, hold)) }() // it is cut
			<-r.entered
			if got := len(r.rows()); got > 1 {
				t.Fatalf("%d rows: nothing waits", got)
			}
			killed.kill(t)
			r.apis = slices.DeleteFunc(r.apis, func(api string) bool { return api == killed.api })
			if c.empty {
				r.redis.Restart()
				orphans = 0
			}
			r.postgres.open()
			if c.restarted {
				r.child(log)
			}
			r.everyone(1)
			for _, w := range r.exact(orphans) {
				if w.Evidence == string(ledger.EvidenceOrphan) && (w.Charged <= 0 || w.Charged != min(w.Cost, w.Held) || w.Held <= w.Charged) {
					t.Errorf("floor %+v", w)
				}
			}
		})
	}
}

// A replica that ends in order leaves no lease, and nothing to reap. Where the ledger is away until its time is over, it leaves what it
// could not settle to the others, at once and not when its lease has ended.
func TestReplicaLeaves(t *testing.T) {
	for name, away := range map[string]bool{"in order": false, "while the ledger is away": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			r.options.OwnerLease = time.Hour // of the replica that leaves
			c := r.child(t.TempDir())
			r.everyone(2)
			if away {
				r.postgres.close()
				r.answers(5, r.last())
			}
			c.killed = true // it is ended here
			if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := c.cmd.Wait(); (err != nil) != away {
				t.Errorf("it ended with %v", err)
			}
			r.apis = r.apis[:1]
			r.postgres.open()
			r.exact(0)
			r.forecasts()
			redis, err := admit.NewRedis(admit.Options{URL: r.redis.URL, Owner: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer redis.Close()
			if err := redis.Renew(t.Context()); err != nil || redis.Owners() != 2 {
				t.Errorf("%d leases, want that of the other replica and that of this test: %v", redis.Owners(), err)
			}
		})
	}
}

// Where the AIGateway says so, nobody is admitted while Redis is away.
func TestRejectWithoutRedis(t *testing.T) {
	r := newRig(t, 2, func(s *snapshot.Snapshot) { s.RejectWithoutRedis = true })
	r.everyone(2)
	r.redis.Kill()
	for i := range r.apis {
		if got := r.ask(i, hi); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("replica %d: %d %v", i, got.status, got.header)
		}
	}
	r.redis.Restart()
	for i := range r.apis {
		eventually(t, "an answer", func() bool { return r.ask(i, hi).status == http.StatusOK })
		r.sent++
	}
	r.exact(0)
}

// What prices consist of is stored before anybody asks for a bill.
func TestPricesAreStored(t *testing.T) {
	r := newRig(t, 1, nil)
	eventually(t, "the version of the prices", func() bool {
		v, err := r.books.PriceVersion(t.Context(), "v1")
		return err == nil && strings.Contains(string(v.Components), "1000000000000")
	})
}

// Redis is killed with all its data: answers go on and say so; when it is back, empty, every answer is charged once.
func TestRedisIsKilled(t *testing.T) {
	r := newRig(t, 3, nil)
	r.everyone(3)
	go func() { _, _ = http.DefaultClient.Do(request(t, r.apis[0], hold)) }()
	<-r.entered // it began with Redis, and ends without
	r.sent++
	r.redis.Kill()
	r.becomes("redis")
	for _, got := range r.everyone(5) {
		if got != "redis" {
			t.Errorf("degraded: %q", got)
		}
	}
	close(r.release)
	r.redis.Restart()
	r.becomes("")
	r.exact(0)
}

// A correction that nobody can tell Redis of waits until somebody can: no replica takes for told what it did not tell.
func TestCorrectionWaitsForRedis(t *testing.T) {
	r := newRig(t, 0, nil)
	r.options.WALDir = t.TempDir()
	b := run(t, r.options)
	r.apis, r.acks = []string{b.API}, []string{b.Ack}
	r.everyone(1)
	r.exact(0)
	told := func() bool {
		left, err := r.books.ChangedAccounts(t.Context(), "uid", "", 10)
		return err == nil && len(left) == 0
	}
	eventually(t, "the grant is told", told)
	r.redis.Kill()
	r.becomes("redis")
	account, err := r.books.Adjust(t.Context(), ledger.Adjustment{ID: "c", Account: "ns/acme", Amount: -usd, Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it cannot be told", func() bool {
		_, body := get(t, "http://"+b.Admin+"/metrics", "")
		return strings.Contains(body, `layers_upkeep_failures_total{task="copies"}`) && !strings.Contains(body, `layers_upkeep_failures_total{task="copies"} 0`)
	})
	if told() {
		t.Error("it is taken for told")
	}
	r.redis.Restart()
	for deadline := time.Now().Add(time.Minute); !told(); <-time.After(10 * time.Millisecond) { // it is tried every ten seconds
		if time.Now().After(deadline) {
			t.Fatal("the correction is not told")
		}
	}
	eventually(t, "all is settled", func() bool { return len(r.rows()) == r.sent })
	if account, err = r.books.Account(t.Context(), account.ID); err != nil {
		t.Fatal(err)
	}
	r.quiet(account)
}

// PostgreSQL is stopped: answers go on and say so; when it is back, every answer is charged once.
func TestLedgerIsStopped(t *testing.T) {
	r := newRig(t, 3, nil)
	r.everyone(3)
	r.postgres.close()
	r.becomes("ledger")
	for _, got := range r.everyone(5) {
		if got != "ledger" {
			t.Errorf("degraded: %q", got)
		}
	}
	if rows := len(r.rows()); rows > 9 {
		t.Errorf("%d rows though the ledger is away", rows)
	}
	r.postgres.open()
	r.becomes("")
	r.exact(0)
}

// Without both nobody is let in, and is told when to come back.
func TestBothAreAway(t *testing.T) {
	r := newRig(t, 1, nil)
	r.everyone(2)
	r.postgres.close()
	r.redis.Kill()
	eventually(t, "503", func() bool {
		got := r.ask(0, hi)
		if got.status == http.StatusOK {
			r.sent++
		}
		return got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") != ""
	})
	eventually(t, "both are told", func() bool {
		_, body := get(t, "http://"+r.acks[0]+"/snapshot", "ack")
		return strings.Contains(body, `"degraded":["ledger","redis"]`)
	})
	r.redis.Restart()
	r.postgres.open()
	eventually(t, "an answer", func() bool {
		got := r.ask(0, hi)
		if got.status == http.StatusOK {
			r.sent++
		}
		return got.status == http.StatusOK && got.header.Get("X-Layers-Degraded") == ""
	})
	r.exact(0)
}

// A log that cannot be opened is told, and answers wait for the ledger.
func TestLogThatDoesNotOpen(t *testing.T) {
	r := newRig(t, 0, nil)
	r.options.WALDir = write(t, filepath.Join(t.TempDir(), "file"), []byte("no folder"))
	b := run(t, r.options)
	r.apis = []string{b.API}
	r.everyone(3)
	if _, body := get(t, "http://"+b.Admin+"/metrics", ""); !strings.Contains(body, "\nlayers_wal_open 0\n") {
		t.Error("no metric says so")
	}
	if got := len(r.rows()); got != 3 {
		t.Errorf("%d rows: answers did not wait", got)
	}
	r.exact(0)
}
