package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

// fleet is three replicas of one gateway on one Redis and one PostgreSQL.
type fleet struct {
	t       *testing.T
	books   ledger.Ledger
	apis    []string
	release chan struct{} // the provider answers when it is closed, or at once where it is nil
	entered chan struct{}
}

func newFleet(t *testing.T, limits []snapshot.RateLimit, concurrent int64, wait bool) *fleet {
	t.Helper()
	f := &fleet{t: t}
	up := provider(t)
	if wait {
		f.release, f.entered = make(chan struct{}), make(chan struct{}, 1000)
		inner := up.Config.Handler
		up.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.entered <- struct{}{}
			<-f.release
			inner.ServeHTTP(w, r)
		})
	}
	s := config(snapshot.Live, snapshot.OpenAICompatible, up.URL)
	s.Tiers = []snapshot.Tier{{Name: "ns/tier", Limits: limits, MaxConcurrent: concurrent, MaxBodyBytes: 1 << 20, UpgradeURL: "https://example.com/more"}}
	s.DefaultTier = "ns/tier"
	dir := t.TempDir()
	url := testenv.Postgres(t)
	f.books = openLedger(t, url)
	if _, err := f.books.Grant(t.Context(), ledger.Grant{ID: "g", Account: "ns/acme", Amount: 1_000_000 * usd, Kind: "manual", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	publish(t, dir, s)
	o := Options{
		SnapshotDir:   dir,
		RedisTimeout:  patience,
		RedisURLFile:  write(t, filepath.Join(dir, "redis"), []byte(testenv.Redis(t)+"\n")),
		LedgerURLFile: write(t, filepath.Join(dir, "ledger"), []byte(url+"\n")),
	}
	for range 3 {
		f.apis = append(f.apis, run(t, o).API)
	}
	return f
}

// patience is how long replicas wait for a Redis that is there, however little of the machine this test has.
const patience = 5 * time.Second

// reply is what one request got.
type reply struct {
	sent   time.Time
	at     time.Time // when it was answered
	status int
	header http.Header
	body   string
}

// ask sends one request to a replica.
func (f *fleet) ask(replica int, body string) reply {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+f.apis[replica%len(f.apis)]+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		f.t.Error(err)
		return reply{}
	}
	r.Header.Set("Authorization", "Bearer "+liveKey)
	sent := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Error(err)
		return reply{}
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Error(err)
	}
	return reply{sent, time.Now(), resp.StatusCode, resp.Header, string(b)}
}

// volley releases n requests at once, over all replicas, and sorts the answers by whether they passed.
func (f *fleet) volley(n int, body string) (passed, refused []reply) {
	f.t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			got := f.ask(i, body)
			mu.Lock()
			defer mu.Unlock()
			if got.status == http.StatusOK {
				passed = append(passed, got)
			} else {
				refused = append(refused, got)
			}
		})
	}
	close(start)
	all.Wait()
	return passed, refused
}

const hi = `{"model":"test/model","messages":[{"role":"user","content":"hi"}],"max_tokens":10}`

// after is when a refusal says that the request passes.
func after(t *testing.T, r reply) time.Time {
	t.Helper()
	ms, err := strconv.Atoi(r.header.Get("Retry-After-Ms"))
	if err != nil || ms < 1 {
		t.Fatalf("Retry-After-Ms of %d %s: %q", r.status, r.body, r.header.Get("Retry-After-Ms"))
	}
	if s, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || s < 1 || s*1000 < ms || (s-1)*1000 >= ms {
		t.Errorf("Retry-After %q for %d ms", r.header.Get("Retry-After"), ms)
	}
	return r.at.Add(time.Duration(ms) * time.Millisecond)
}

// nonePasses sends some requests 100 ms before earliest, the first instant at which one may pass: the refusal was decided
// between when its request was sent and when it was answered.
func (f *fleet) nonePasses(earliest time.Time) {
	f.t.Helper()
	until(earliest.Add(-100 * time.Millisecond))
	passed, _ := f.volley(3, hi)
	switch ended := time.Now(); {
	case len(passed) == 0:
	case ended.Before(earliest):
		f.t.Fatalf("%d passed 100 ms before Retry-After", len(passed))
	default:
		f.t.Skipf("the machine took until %v after Retry-After for requests sent 100 ms before it", ended.Sub(earliest))
	}
}

func until(at time.Time) { <-time.After(time.Until(at)) }

// exactly fails the test unless so many passed. One more comes back each second: a machine that took longer than one for the
// volley may let as many more through, and says nothing about the rest.
func exactly(t *testing.T, want, passed int, took time.Duration) {
	t.Helper()
	slow := int(took / time.Second)
	if passed < want || passed > want+slow {
		t.Fatalf("%d passed within %v, want %d", passed, took, want)
	}
	if slow > 0 {
		t.Skipf("the machine took %v", took)
	}
}

// object is the error that a refusal names.
func object(t *testing.T, r reply) map[string]any {
	t.Helper()
	var out struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.body), &out); err != nil || out.Error == nil {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return out.Error
}

// 60 a minute, burst 60, over three replicas: of 61 requests at once exactly 60 pass; 100 ms before Retry-After none does,
// after it exactly one.
func TestRequestsOverReplicas(t *testing.T) {
	f := newFleet(t, []snapshot.RateLimit{{Unit: snapshot.RequestsPerMinute, Value: 60, Burst: 60}}, 0, false)
	f.warm()
	begun := time.Now()
	passed, refused := f.volley(61, hi)
	exactly(t, 60, len(passed), time.Since(begun))
	r := refused[0]
	e := object(t, r)
	if r.status != http.StatusTooManyRequests || e["code"] != "rate_limit_exceeded" || e["object"] != "Tier ns/tier" || e["rule"] != "RequestsPerMinute" ||
		e["limit"] != 60.0 || e["used"] != 60.0 || e["upgrade_url"] != "https://example.com/more" || e["reset"].(float64) < float64(begun.Unix()) {
		t.Errorf("%d %v", r.status, e)
	}
	free := after(t, r)
	f.nonePasses(free.Add(r.sent.Sub(r.at)))
	until(free)
	passed, refused = f.volley(6, hi)
	if len(passed) != 1 || len(refused) != 5 {
		t.Errorf("after Retry-After %d passed, %d did not", len(passed), len(refused))
	}
	for _, r := range append(passed, refused...) {
		for name, want := range map[string]string{"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%d: %s is %q, want %q", r.status, name, got, want)
			}
		}
	}
}

// warm makes every replica know the key, without taking anything: it is the limits that are looked at.
func (f *fleet) warm() {
	f.t.Helper()
	for i, api := range f.apis {
		if status, body := get(f.t, "http://"+api+"/v1/models", liveKey); status != http.StatusOK {
			f.t.Fatalf("replica %d: %d %s", i, status, body)
		}
	}
}

// The same for tokens: 600 output tokens a minute, each request asks for 10 and uses 10. What is left at the end is told by
// the headers, too.
func TestTokensOverReplicas(t *testing.T) {
	f := newFleet(t, []snapshot.RateLimit{{Unit: snapshot.OutputTokensPerMinute, Value: 600, Burst: 600}}, 0, false)
	f.warm()
	begun := time.Now()
	passed, refused := f.volley(61, hi)
	exactly(t, 60, len(passed), time.Since(begun))
	r := refused[0]
	if e := object(t, r); r.status != http.StatusTooManyRequests || e["rule"] != "OutputTokensPerMinute" || e["limit"] != 600.0 {
		t.Errorf("%d %v", r.status, e)
	}
	free := after(t, r)
	f.nonePasses(free.Add(r.sent.Sub(r.at)))
	until(free)
	if passed, _ = f.volley(6, hi); len(passed) != 1 {
		t.Fatalf("after Retry-After %d passed", len(passed))
	}
	if h := passed[0].header; h.Get("x-ratelimit-limit-tokens") != "600" || h.Get("x-ratelimit-reset-tokens") == "" || h.Get("X-RateLimit-Limit") != "" {
		t.Errorf("headers %v", h)
	}
}

// The same for requests at once: 8 slots over three replicas; a slot that is given back is taken by exactly one.
func TestConcurrencyOverReplicas(t *testing.T) {
	f := newFleet(t, nil, 8, true)
	f.warm()
	answers := make(chan reply, 20)
	for i := range 20 {
		go func() { answers <- f.ask(i, hi) }()
	}
	for range 8 {
		<-f.entered
	}
	for range 12 {
		r := <-answers
		if e := object(t, r); r.status != http.StatusTooManyRequests || e["code"] != "concurrency_limit_exceeded" || e["rule"] != "MaxConcurrentRequests" || e["limit"] != 8.0 || e["used"] != 8.0 {
			t.Fatalf("%d %v", r.status, e)
		}
		after(t, r)
	}
	f.release <- struct{}{} // one ends
	if r := <-answers; r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for i := range 6 {
		go func() { answers <- f.ask(i, hi) }()
	}
	<-f.entered
	for range 5 {
		if r := <-answers; r.status != http.StatusTooManyRequests {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	close(f.release)
	for range 8 {
		if r := <-answers; r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

// A key's spend cap holds over replicas and over a rotation, while both its keys are good, and its account's receipts are there on
// each of them.
func TestSpendCapOverReplicas(t *testing.T) {
	f := newFleet(t, nil, 0, false)
	const capped, next = "lyr_live_capped-capped-capped", "lyr_live_rotated-rotated-rot"
	k := ledger.Key{
		Digest: keys.Digest(capped), Name: "ns/capped", Account: "ns/acme", State: ledger.KeyActive, Source: "kubernetes", ClusterUID: "c", GatewayUID: "uid",
		ObjectUID: "o2", ObjectName: "ns/capped", CapAmount: usd / 4, CapPeriod: ledger.PeriodMonth,
	}
	for _, plain := range []string{capped, next} {
		k.Digest, k.Rotation = keys.Digest(plain), k.Rotation+1
		if _, err := f.books.UpsertKey(t.Context(), ledger.KeyUpsert{Key: k}); err != nil {
			t.Fatal(err)
		}
	}
	// Each costs 0.04 USD and holds about 0.1: three leave too little for a fourth, or a fourth just fits.
	spent, last := 0, ""
	for i := range 20 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.apis[i%3]+"/v1/chat/completions", strings.NewReader(hi))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+[]string{capped, next}[i%2])
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body) // judged below
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			spent++
			last = resp.Header.Get("X-Layers-Request-Id")
			continue
		}
		e := object(t, reply{status: resp.StatusCode, body: string(b)})
		if resp.StatusCode != http.StatusPaymentRequired || e["code"] != "spend_cap_reached" || e["object"] != "APIKey ns/capped" || e["rule"] != "SpendCap" ||
			fmt.Sprint(e["limit"]) != "map[credits:25 usd:0.25]" || fmt.Sprint(e["used"]) != fmt.Sprintf("map[credits:%d usd:%.2f]", 4*spent, 0.04*float64(spent)) {
			t.Fatalf("%d %v", resp.StatusCode, e)
		}
		break
	}
	if spent < 3 || spent > 4 {
		t.Fatalf("%d requests passed", spent)
	}
	for i, api := range f.apis {
		status, body := get(t, "http://"+api+"/v1/usage/"+last, capped)
		if status != http.StatusOK || !strings.Contains(body, `"charge":{"credits":"4","usd":"0.04"}`) {
			t.Errorf("replica %d: %d %s", i, status, body)
		}
	}
}
