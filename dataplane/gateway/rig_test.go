package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

const (
	// cost is what an answer of provider costs.
	cost pricing.Nano = 40_000_000
	// gift is what rigs' account has.
	gift = 1000 * usd
	// lease is that of rigs' replicas, so that the dead are found soon.
	lease = time.Second
	// hold is a request whose answer waits for rig.release.
	hold = `{"model":"test/model","messages":[{"role":"user","content":"wait"}],"max_tokens":10}`
)

// rig is a fleet whose stores can be taken away: three replicas of one gateway, each with a log of its own.
type rig struct {
	*fleet
	redis    *testenv.RedisProc
	postgres *gate
	database string // URL of PostgreSQL, not through the gate
	options  Options
	acks     []string
	sent     int // answers that cost
}

// newRig starts so many replicas. A request whose prompt is "wait" is answered when release is closed.
func newRig(t *testing.T, replicas int, change func(*snapshot.Snapshot)) *rig {
	t.Helper()
	r := &rig{fleet: &fleet{t: t, release: make(chan struct{}), entered: make(chan struct{}, 1000)}}
	up := provider(t)
	inner := up.Config.Handler
	up.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		if strings.Contains(string(body), `"wait"`) {
			r.entered <- struct{}{}
			select {
			case <-r.release:
			case <-q.Context().Done():
				return
			}
		}
		q.Body = io.NopCloser(strings.NewReader(string(body)))
		inner.ServeHTTP(w, q)
	})
	s := config(snapshot.Live, snapshot.OpenAICompatible, up.URL)
	if change != nil {
		change(s)
	}
	dir := t.TempDir()
	publish(t, dir, s)
	r.redis, r.database = testenv.RedisServer(t), testenv.Postgres(t)
	r.books = openLedger(t, r.database)
	if _, err := r.books.Grant(t.Context(), ledger.Grant{ID: "g", Account: "ns/acme", Amount: gift - usd, Kind: ledger.GrantPurchased}); err != nil {
		t.Fatal(err)
	}
	var through string
	r.postgres, through = newGate(t, r.database)
	r.options = Options{
		SnapshotDir: dir, OwnerLease: lease, SyncEvery: lease, RedisTimeout: patience,
		RedisURLFile:  write(t, filepath.Join(dir, "redis"), []byte(r.redis.URL)),
		LedgerURLFile: write(t, filepath.Join(dir, "ledger"), []byte(through)),
	}
	for range replicas {
		r.options.WALDir = t.TempDir()
		b := run(t, r.options)
		r.apis, r.acks = append(r.apis, b.API), append(r.acks, b.Ack)
	}
	return r
}

// child starts one more replica, as a process of its own, with its log in dir.
func (r *rig) child(dir string) *process {
	r.t.Helper()
	o := r.options
	c := startChild(r.t, childOptions{
		SnapshotDir: o.SnapshotDir, RedisURLFile: o.RedisURLFile, LedgerURLFile: o.LedgerURLFile, WALDir: dir,
		OwnerLease: o.OwnerLease, SyncEvery: o.SyncEvery, RedisTimeout: o.RedisTimeout,
	})
	r.apis = append(r.apis, c.api)
	return c
}

// last is the index of the replica that was started last.
func (r *rig) last() int { return len(r.apis) - 1 }

// answers asks one replica so often, one after the other, and wants each answered; it answers in how degraded a way the last was.
func (r *rig) answers(n, replica int) (degraded string) {
	r.t.Helper()
	for range n {
		got := r.ask(replica, hi)
		if got.status != http.StatusOK {
			r.t.Fatalf("replica %d: %d %s", replica, got.status, got.body)
		}
		r.sent++
		degraded = got.header.Get("X-Layers-Degraded")
	}
	return degraded
}

// everyone asks every replica.
func (r *rig) everyone(n int) (degraded []string) {
	r.t.Helper()
	for i := range r.apis {
		degraded = append(degraded, r.answers(n, i))
	}
	return degraded
}

// becomes waits until all replicas answer in that way and acknowledge so.
func (r *rig) becomes(degraded string) {
	r.t.Helper()
	want := `"degraded":["` + degraded + `"]`
	eventually(r.t, "degraded: "+degraded, func() bool {
		for _, got := range r.everyone(1) {
			if got != degraded {
				return false
			}
		}
		for _, ack := range r.acks {
			_, body := get(r.t, "http://"+ack+"/snapshot", "ack")
			if strings.Contains(body, want) != (degraded != "") || degraded == "" && strings.Contains(body, "degraded") {
				return false
			}
		}
		return true
	})
}

// row is what the ledger has of a request.
type row struct {
	ID, Evidence        string
	Cost, Charged, Held pricing.Nano
}

func (r *rig) rows() []row {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.database)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	found, err := conn.Query(r.t.Context(), "SELECT request_id, evidence, cost, charged, held FROM usage_logs ORDER BY request_id")
	if err != nil {
		r.t.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	if err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// exact waits until the ledger has a row of each answer, and so many of orphans; then every answer is charged its cost once,
// Redis holds nothing, and its copy is the ledger's.
func (r *rig) exact(orphans int) []row {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d rows", r.sent+orphans), func() bool { return len(r.rows()) >= r.sent+orphans })
	rows := r.rows()
	charged, left := pricing.Nano(0), orphans
	for _, w := range rows {
		charged += w.Charged
		switch {
		case w.Evidence == string(ledger.EvidenceOrphan):
			left--
		case w.Evidence != string(ledger.EvidenceReported) || w.Charged != cost || w.Cost != cost:
			r.t.Errorf("%+v", w)
		}
	}
	if left != 0 || len(rows) != r.sent+orphans {
		r.t.Errorf("%d rows, %d orphans more than wanted; %d answers", len(rows), -left, r.sent)
	}
	account, err := r.books.Account(r.t.Context(), "ns/acme")
	if err != nil || account.Balance != gift-charged {
		r.t.Errorf("balance %d, want %d: %v", account.Balance, gift-charged, err)
	}
	if bad, err := r.books.Check(r.t.Context()); err != nil || len(bad) > 0 {
		r.t.Errorf("ledger: %v %v", bad, err)
	}
	r.quiet(account)
	return rows
}

// quiet waits until Redis has what the ledger has, and holds nothing (P5).
func (r *rig) quiet(account ledger.Account) {
	r.t.Helper()
	redis, err := admit.NewRedis(admit.Options{URL: r.redis.URL})
	if err != nil {
		r.t.Fatal(err)
	}
	defer redis.Close()
	k, err := r.books.KeyByDigest(r.t.Context(), keys.Digest(liveKey))
	if err != nil {
		r.t.Fatal(err)
	}
	q := admit.Request{ID: "preview", Account: account.ID, KeyDigest: k.Digest, KeyVersion: k.Version, HoldFor: time.Minute}
	var d admit.Decision
	deadline := time.Now().Add(10 * time.Second)
	for ; time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		if d, err = redis.Preview(r.t.Context(), q); err != nil {
			continue
		}
		switch {
		case d.Outcome == admit.ReloadKey: // as the next request would
			err = redis.LoadKey(r.t.Context(), account.ID, k.Digest, string(k.State), k.Version)
		case d.Outcome == admit.ReloadAccount:
			err = redis.LoadAccount(r.t.Context(), admit.Copy{Account: account.ID, Spendable: account.Spendable(), Version: account.Version})
		case d.Outcome == admit.Admitted && d.Reserved == 0 && d.Spendable == account.Spendable():
			return
		}
	}
	r.t.Errorf("Redis: %+v %v, the ledger has %d", d, err, account.Spendable())
}

// forecasts waits until Redis has what replicas have seen of answers of the key and the model.
func (r *rig) forecasts() {
	r.t.Helper()
	redis, err := admit.NewRedis(admit.Options{URL: r.redis.URL})
	if err != nil {
		r.t.Fatal(err)
	}
	defer redis.Close()
	c, err := redis.Client(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	key := "lyr:forecast:{" + keys.Digest(liveKey) + " test/model}"
	eventually(r.t, "forecasts", func() bool {
		n, err := c.Do(r.t.Context(), c.B().Hlen().Key(key).Build()).AsInt64()
		return err == nil && n > 0
	})
}

func request(t *testing.T, api, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+api+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+liveKey)
	return r
}
