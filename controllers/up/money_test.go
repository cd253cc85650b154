package up

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // raw access to what was written

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/testenv"
)

const (
	plainKey = "lyr_live_declared-for-this-test"
	granted  = 1000 * 1_000_000_000 // 100,000 credits at 100 a dollar, in nano-USD
	clients  = 64
)

// requests is how many requests TestMoney sends to each pair of stores.
func requests(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LAYERS_TEST_REQUESTS")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// charge is what answer i costs, in nano-USD, by the manifest's prices: one rounding, upwards.
func charge(i int) pricing.Nano {
	if fails(i) {
		return 0
	}
	input, cached, output := used(i)
	const perMillionInput, perMillionCached, perMillionOutput = 150_000_000, 75_000_000, 600_000_000
	sum := (input-cached)*perMillionInput + cached*perMillionCached + output*perMillionOutput
	return (sum + 999_999) / 1_000_000
}

// TestMoney: each body is the provider's but for the cost, and the ledger has each charge once, to the nano-dollar.
func TestMoney(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		data := t.TempDir()
		path := filepath.Join(data, "ledger.db")
		money(t, Options{Data: data}, "sqlite:"+path, "sqlite", path)
	})
	t.Run("servers", func(t *testing.T) {
		pg := testenv.Postgres(t)
		money(t, Options{Data: t.TempDir(), Redis: testenv.Redis(t), Ledger: pg, redisTimeout: 5 * time.Second}, pg, "pgx", pg)
	})
}

func money(t *testing.T, o Options, ledgerURL, driver, dsn string) {
	o.Manifests = folder(t, manifest(t, provider(t), keys.Digest(plainKey)))
	o.LogLevel = "warn"
	p := start(t, o)
	n := requests(t)
	send(t, p, n)
	p.stop(t)

	var want pricing.Nano
	for i := range n {
		want += charge(i)
	}
	l, err := ledger.Open(t.Context(), ledgerURL, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if problems, err := l.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("the ledger is not sound: %v, %v", problems, err)
	}
	if acc, err := l.Account(t.Context(), "default/acme"); err != nil || acc.Balance != granted-want {
		t.Errorf("balance %d, %v; want %d granted less %d charged", acc.Balance, err, pricing.Nano(granted), want)
	}
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	number(t, raw, "SELECT CAST(SUM(amount) AS BIGINT) FROM ledger_entries", 0)
	number(t, raw, "SELECT CAST(SUM(charged) AS BIGINT) FROM usage_logs", want)
	number(t, raw, "SELECT CAST(SUM(amount) AS BIGINT) FROM credit_grants", granted)
	number(t, raw, "SELECT COUNT(*) FROM usage_logs WHERE charged > 0", int64(n-failed(n)))
}

func failed(n int) int {
	count := 0
	for i := range n {
		if fails(i) {
			count++
		}
	}
	return count
}

func number(t *testing.T, db *sql.DB, query string, want int64) {
	t.Helper()
	var got int64
	if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
		t.Errorf("%s: %d, %v; want %d", query, got, err, want)
	}
}

// send sends n requests over so many connections and checks each answer.
func send(t *testing.T, p *process, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: clients, MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	next := make(chan int)
	problems := make(chan string, clients)
	var workers sync.WaitGroup
	for range clients {
		workers.Go(func() {
			for i := range next {
				if problem := ask(t, client, p.API, i); problem != "" {
					select {
					case problems <- fmt.Sprintf("request %d: %s", i, problem):
					default: // enough are told
					}
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	close(problems)
	for problem := range problems {
		t.Error(problem)
	}
	if t.Failed() {
		t.Fatalf("the process said:\n%s", p.stderr)
	}
}

var cost = regexp.MustCompile(`,"cost":([0-9.]+)`)

// ask sends request i and says what is wrong with the answer.
func ask(t *testing.T, client *http.Client, api string, i int) string {
	stream := ""
	if streams(i) {
		stream = `"stream":true,"stream_options":{"include_usage":true},`
	}
	body := fmt.Sprintf(`{"model":"acme/small",%s"max_tokens":100,"messages":[{"role":"user","content":"%d"}]}`, stream, i)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+plainKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return judge(i, res.StatusCode, string(raw))
}

// judge compares an answer with the provider's.
func judge(i, status int, got string) string {
	if fails(i) {
		if status != http.StatusBadRequest || !strings.Contains(got, fmt.Sprintf("Refused %d", i)) {
			return fmt.Sprintf("%d %s", status, got)
		}
		return ""
	}
	want := upstreamBody(i)
	if streams(i) {
		want = upstreamStream(i)
	}
	costs := cost.FindAllStringSubmatch(got, -1)
	if status != http.StatusOK || cost.ReplaceAllString(got, "") != want {
		return fmt.Sprintf("%d\ngot  %s\nwant %s", status, got, want)
	}
	if usd := pricing.FormatUSD(charge(i)); len(costs) != 1 || costs[0][1] != usd {
		return fmt.Sprintf("cost %v, want %s once", costs, usd)
	}
	return ""
}
