package failover

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/hack/testenv"
)

// node is one of a cluster of three, with a third of the slots.
type node struct {
	*testenv.Program
	url         string
	first, last int
}

func newCluster(t *testing.T) (nodes [3]node) {
	t.Helper()
	bin, err := testenv.FindRedis(os.Stderr)
	must(t, err)
	ctx := t.Context()
	var clients [3]rueidis.Client
	for i := range nodes {
		port := busPort(t)
		n := node{url: "redis://127.0.0.1:" + port, first: 16384 * i / 3, last: 16384*(i+1)/3 - 1}
		// A node that hangs is not voted away while the test looks.
		n.Program, err = testenv.Launch(t.TempDir(), nil, syscall.SIGKILL, bin, "--bind", "127.0.0.1", "--port", port, "--save", "",
			"--cluster-enabled", "yes", "--cluster-node-timeout", "600000")
		must(t, err)
		t.Cleanup(n.Kill)
		must(t, n.Until(ctx, func(context.Context) error {
			clients[i], err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + port}, ForceSingleClient: true, DisableCache: true})
			return err
		}))
		t.Cleanup(clients[i].Close)
		slots := make([]string, 0, n.last-n.first+1)
		for slot := n.first; slot <= n.last; slot++ {
			slots = append(slots, strconv.Itoa(slot))
		}
		must(t, clients[i].Do(ctx, clients[i].B().Arbitrary("CLUSTER", "ADDSLOTS").Args(slots...).Build()).Error())
		must(t, clients[0].Do(ctx, clients[0].B().Arbitrary("CLUSTER", "MEET", "127.0.0.1", port).Build()).Error())
		nodes[i] = n
	}
	for i, n := range nodes {
		must(t, n.Until(ctx, func(context.Context) error {
			said, err := clients[i].Do(ctx, clients[i].B().Arbitrary("CLUSTER", "INFO").Build()).ToString()
			if err == nil && (!strings.Contains(said, "cluster_state:ok") || !strings.Contains(said, "cluster_known_nodes:3")) {
				err = fmt.Errorf("not one cluster yet: %s", said)
			}
			return err
		}))
	}
	return nodes
}

// busPort is a free port whose cluster port, 10000 higher, is one too.
func busPort(t *testing.T) string {
	t.Helper()
	for {
		ports, err := testenv.FreePorts(1)
		must(t, err)
		if ports[0] < 55_000 {
			return strconv.Itoa(ports[0])
		}
	}
}

// member is an account of a cluster and whether its node hangs; nobody knows of one whose part is of two nodes.
type member struct {
	account string
	hangs   bool
}

// members are some accounts on each node.
func members(r *admit.Redis, hanging node) (all []member) {
	width := 16384 / r.Split()
	for count := [2]int{}; count[0] < 30 || count[1] < 15; {
		m := member{account: "ns/" + newID()}
		first := r.Part("{"+m.account+"}") * width
		last, which := first+width-1, 0
		if m.hangs = first >= hanging.first && last <= hanging.last; m.hangs {
			which = 1
		} else if first <= hanging.last && last >= hanging.first {
			continue
		}
		count[which]++
		all = append(all, m)
	}
	return all
}

// fallbacks asks for each account, eight at a time, and answers of how many, of those whose node is well and of those whose node
// hangs, Redis did not decide, and how long the longest call took.
func fallbacks(t *testing.T, f *Failover, all []member) (well, hanging int64, worst time.Duration) {
	t.Helper()
	var by [2]atomic.Int64
	var longest atomic.Int64
	var running sync.WaitGroup
	room := make(chan struct{}, 8)
	for _, m := range all {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			ctx, q := context.Background(), request(0, unmetered)
			q.Account = m.account
			timed := func(call func()) {
				begun := time.Now()
				call()
				for took := int64(time.Since(begun)); took > longest.Load(); {
					longest.Store(took)
				}
			}
			var d admit.Decision
			timed(func() { _ = f.LoadKey(ctx, q.Account, q.KeyDigest, admit.KeyActive, 1) })
			timed(func() { _ = f.LoadAccount(ctx, admit.Copy{Account: q.Account, Version: 1}) })
			timed(func() {
				var err error
				if d, err = f.Admit(ctx, q); err != nil {
					t.Error(err)
				}
			})
			timed(func() { _ = f.Finish(ctx, admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest}) })
			timed(func() { _ = f.Release(ctx, q.Account, q.ID) })
			if d.Fallback && m.hangs {
				by[1].Add(1)
			} else if d.Fallback {
				by[0].Add(1)
			}
		})
	}
	running.Wait()
	return by[0].Load(), by[1].Load(), time.Duration(longest.Load())
}

// While one of three nodes hangs, the accounts of the others are decided by Redis, also where it is the node with the leases; no call
// waits for longer than its deadline, and soon none waits at all.
func TestOneNodeHangs(t *testing.T) {
	nodes := newCluster(t)
	for i, n := range nodes {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			r, err := admit.NewRedis(admit.Options{URL: nodes[(i+1)%3].url, Owner: "owner" + strconv.Itoa(i), Lease: 10 * time.Minute})
			must(t, err)
			t.Cleanup(r.Close)
			f := New(Options{Primary: r, Owner: "a", Demo: func() bool { return true }, Timeout: 2 * hangTimeout})
			ctx, cancel := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() { f.Run(ctx) })
			running.Go(func() { r.Keep(ctx, func(error) {}) })
			t.Cleanup(func() { cancel(); running.Wait() })
			eventually(t, "it is a cluster", func() bool { return r.Ping(ctx) == nil && r.Split() > 1 })
			all := members(r, n)
			eventually(t, "all is well", func() bool {
				well, hanging, _ := fallbacks(t, f, all)
				return well+hanging == 0
			})

			n.Signal(syscall.SIGSTOP)
			defer n.Signal(syscall.SIGCONT)
			worst, cutOff, slow := time.Duration(0), int64(0), f.stats.timeouts.Load()
			eventually(t, "the hanging node is not asked, and only that", func() bool {
				before := f.stats.timeouts.Load()
				well, _, took := fallbacks(t, f, all)
				worst, cutOff = max(worst, took), cutOff+well
				return f.Away() && well == 0 && f.stats.timeouts.Load() == before
			})
			t.Logf("worst %v, %d calls waited in vain, %d requests of accounts that are well went without Redis", worst, f.stats.timeouts.Load()-slow, cutOff)
			if worst > 2*hangTimeout+hangSlack {
				t.Errorf("a call took %v", worst)
			}
			before := f.stats.timeouts.Load()
			for range 10 {
				well, hanging, _ := fallbacks(t, f, all)
				same(t, "of those that are well", well, 0)
				same(t, "of those whose node hangs", hanging >= 15, true)
			}
			if more := f.stats.timeouts.Load() - before; more > 3 { // of a busy machine
				t.Errorf("%d more calls waited", more)
			}

			n.Signal(syscall.SIGCONT)
			eventually(t, "it is back", func() bool {
				well, hanging, _ := fallbacks(t, f, all)
				return !f.Away() && well+hanging == 0
			})
		})
	}
}
