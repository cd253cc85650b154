// Package run is one run of chaos: real gateways, a real Redis and a real PostgreSQL under the load and the faults of a
// plan, and what is wrong when they have come to rest.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/load"
	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/provider"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

// Options of a run.
type Options struct {
	plan.Options
	// Bin is the program, see stores.Build.
	Bin string
	// Dir is where everything of the run is; it is made if need be.
	Dir string
	Log io.Writer
}

// Result is what came of a run.
type Result struct {
	Plan       *plan.Plan
	Counts     judge.Counts
	Faults     map[plan.Kind]int
	Overspent  []judge.Overspent
	Violations []judge.Violation
	// Quiet is how long it took to come to rest.
	Quiet time.Duration
}

// chaos is a run under way.
type chaos struct {
	o        Options
	plan     *plan.Plan
	begun    time.Time
	redis    *stores.Redis
	postgres *stores.Postgres
	gateways []*stores.Gateway
	ledger   ledger.Ledger
	watch    *watcher
	served   *provider.Log
	client   *load.Client

	// A process has one fault at a time.
	onRedis, onPostgres sync.Mutex
	onGateway           [plan.Gateways]sync.Mutex

	mu      sync.Mutex
	calls   []judge.Call
	losses  []judge.Loss
	samples []judge.Loss
	outages []judge.Span
	faults  map[plan.Kind]int
	granted map[string]pricing.Nano
	errs    []error
}

// Run runs a plan. An error means that the run itself did not work; what it found is in the result.
func Run(ctx context.Context, o Options) (*Result, error) {
	c := &chaos{o: o, plan: plan.New(o.Options), faults: map[plan.Kind]int{}, granted: map[string]pricing.Nano{}}
	for _, f := range c.plan.Faults {
		c.say("plan: at %6.2fs for %5.2fs %s (gateway %d)", f.At.Seconds(), f.For.Seconds(), f.Kind, f.Gateway)
	}
	stop, err := c.start(ctx)
	defer stop()
	if err != nil {
		return nil, err
	}
	c.storm(ctx)
	if err := errors.Join(c.errs...); err != nil {
		return nil, fmt.Errorf("a fault could not be made: %w", err)
	}
	return c.settle(ctx)
}

func (c *chaos) say(format string, args ...any) {
	fmt.Fprintf(c.o.Log, "chaos: "+format+"\n", args...)
}

// fail notes that the run itself did not work.
func (c *chaos) fail(err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, err)
	}
}

// start starts all there is; stop ends it.
func (c *chaos) start(ctx context.Context) (stop func(), err error) {
	var ends []func()
	stop = func() {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i]()
		}
	}
	dir := func(name string) string { return filepath.Join(c.o.Dir, name) }
	for _, name := range []string{"redis", "postgres", "snapshot"} {
		if err := os.MkdirAll(dir(name), 0o755); err != nil {
			return stop, fmt.Errorf("making a folder: %w", err)
		}
	}
	if c.redis, err = stores.StartRedis(ctx, dir("redis"), c.o.Log); err != nil {
		return stop, err
	}
	ends = append(ends, func() { c.redis.Kill() })
	if c.postgres, err = stores.StartPostgres(ctx, dir("postgres"), c.o.Log); err != nil {
		return stop, err
	}
	ends = append(ends, func() { c.postgres.Stop() })
	if c.ledger, err = ledger.Open(ctx, c.postgres.URL, ledger.Options{}); err != nil {
		return stop, err
	}
	ends = append(ends, c.ledger.Close)
	if err := errors.Join(c.ledger.Migrate(ctx), install(ctx, c.postgres.URL), c.accounts(ctx)); err != nil {
		return stop, err
	}
	more, err := c.serve(ctx, dir)
	ends = append(ends, more...)
	return stop, err
}

// serve starts the providers, writes what gateways read, and starts those.
func (c *chaos) serve(ctx context.Context, dir func(string) string) (ends []func(), err error) {
	c.served = provider.NewLog()
	var urls []string
	for name, stops := range map[string]bool{"chaos/stops": true, "chaos/goes-on": false} {
		url, end, err := c.model(ctx, name, stops)
		if err != nil {
			return ends, err
		}
		if ends = append(ends, end); stops {
			urls = append([]string{url}, urls...)
		} else {
			urls = append(urls, url)
		}
	}
	b, err := snapshot.Encode(configuration(urls[0], urls[1]))
	if err != nil {
		return ends, err
	}
	files := stores.Files{Bin: c.o.Bin, Snapshot: dir("snapshot"), Redis: dir("redis-url"), Ledger: dir("ledger-url")}
	err = errors.Join(os.WriteFile(filepath.Join(files.Snapshot, snapshot.SecretDataKey), b, 0o600),
		os.WriteFile(files.Redis, []byte(c.redis.URL), 0o600), os.WriteFile(files.Ledger, []byte(c.postgres.URL), 0o600))
	if err != nil {
		return ends, fmt.Errorf("writing what gateways read: %w", err)
	}
	var apis, accounts []string
	for n := range plan.Gateways {
		g, err := stores.NewGateway(n, dir(fmt.Sprintf("gateway-%d", n)), files)
		if err == nil {
			err = g.Start(ctx)
			c.gateways, apis = append(c.gateways, g), append(apis, g.API)
			ends = append(ends, func() { _ = g.Kill(false) }) // it keeps its log: that cannot fail
		}
		if err != nil {
			return ends, err
		}
	}
	for _, a := range c.plan.Accounts {
		accounts = append(accounts, a.ID)
	}
	c.client = load.New(c.plan.Accounts, apis)
	c.watch, err = newWatcher(c.redis.URL, accounts)
	return ends, err
}

// model serves one provider and answers its base URL.
func (c *chaos) model(ctx context.Context, name string, stops bool) (url string, end func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("opening a provider's port: %w", err)
	}
	server := &http.Server{Handler: c.served.Handler(name, stops), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // it ends with Close
	return "http://" + l.Addr().String() + "/v1", func() { _ = server.Close() }, nil
}

// accounts makes the plan's accounts and keys, with what they begin with.
func (c *chaos) accounts(ctx context.Context) error {
	for _, a := range c.plan.Accounts {
		for i, plain := range a.Keys {
			name := fmt.Sprintf("%s-%d", a.ID, i)
			_, err := c.ledger.UpsertKey(ctx, ledger.KeyUpsert{Key: ledger.Key{
				Digest: keys.Digest(plain), Name: name, Account: a.ID, State: ledger.KeyActive, Source: "kubernetes", ClusterUID: "chaos",
				GatewayUID: gatewayUID, ObjectUID: name, ObjectName: name, Tier: a.Tier, Policy: a.Policy,
			}})
			if err != nil {
				return fmt.Errorf("making a key: %w", err)
			}
		}
		if a.Start > 0 {
			if err := c.grant(ctx, ledger.Grant{ID: "start-" + a.ID, Account: a.ID, Amount: a.Start, Kind: ledger.GrantManual, Reason: "chaos"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// grant posts a grant and notes that it is.
func (c *chaos) grant(ctx context.Context, g ledger.Grant) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c.mu.Lock()
	c.granted["grant:"+g.ID] = g.Amount
	c.mu.Unlock()
	if _, err := c.ledger.Grant(ctx, g); err != nil {
		return fmt.Errorf("granting: %w", err)
	}
	return nil
}
