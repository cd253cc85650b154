package admit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// command sends a command to one node, past the cluster.
func (p *process) command(args ...string) (string, error) {
	c, err := p.dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	v, err := c.Do(context.Background(), c.B().Arbitrary(args[0]).Args(args[1:]...).Build()).ToAny()
	return fmt.Sprint(v), err
}

// eventually polls until do is nil.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// addSlots gives a node slots, one by one: their range can be said from Redis 7 on.
func addSlots(first, last int) []string {
	command := []string{"CLUSTER", "ADDSLOTS"}
	for slot := first; slot <= last; slot++ {
		command = append(command, decimal(slot))
	}
	return command
}

// newTrio starts a cluster of three primaries.
func newTrio(t *testing.T, args ...string) (nodes []*process, url string) {
	t.Helper()
	args = append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, args...)
	for range 3 {
		nodes = append(nodes, newProcess(t, args...))
	}
	for i, n := range nodes {
		first, last := 5461*i, 5461*(i+1)-1
		if i == 2 {
			last = 16383
		}
		_, err := n.command(addSlots(first, last)...)
		must(t, err)
		if i > 0 {
			_, err = n.command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
			must(t, err)
		}
	}
	for _, n := range nodes {
		eventually(t, func() error {
			info, err := n.command("CLUSTER", "INFO")
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")) {
				err = errors.New(info)
			}
			return err
		})
	}
	return nodes, fmt.Sprintf("%s?addr=127.0.0.1:%s&addr=127.0.0.1:%s", nodes[0].URL, nodes[1].port, nodes[2].port)
}

// admitTo admits a request on an account with every rule, reading again what it is told to.
func admitTo(s *store, account string, hold int64) (Request, Decision, error) {
	ctx := context.Background()
	q := request(hold, limited(6000, 6000), tokens(snapshot.InputTokensPerMinute, 6000, 6000, 1), capped(MaxNano, "Month"), func(q *Request) {
		q.Account, q.MaxConcurrent, q.Floor = account, 1000, min(1, hold)
	})
	for range 8 {
		d, err := s.Admit(ctx, q)
		if err != nil {
			return q, d, err
		}
		switch d.Outcome {
		case ReloadKey:
			err = s.LoadKey(ctx, account, "digest", KeyActive, 1)
		case ReloadAccount:
			err = s.LoadAccount(ctx, Copy{Account: account, Spendable: 1000, Version: 1})
		case ReloadCap:
			err = s.LoadSpend(ctx, account, "digest", Spend{"Month", d.Window, 0})
		default:
			return q, d, nil
		}
		if err != nil {
			return q, d, err
		}
	}
	return q, Decision{}, errors.New("no decision")
}

// The whole life of requests on a cluster of three, accounts on every node; a script that is flushed, a node that loses its
// data, and one that is killed and comes back empty.
func TestClusterOfThree(t *testing.T) {
	nodes, url := newTrio(t)
	a, b := &store{tb: t, Redis: openOwner(t, url, "a")}, &store{tb: t, Redis: openOwner(t, url, "b")}
	ctx := context.Background()
	var asked []Request
	for i := range 24 {
		q, d, err := admitTo(a, fmt.Sprintf("ns/%d", i), 60)
		must(t, err)
		same(t, "outcome", d.Outcome, Admitted)
		same(t, "extended", a.extend(q, 70).Outcome, Admitted)
		asked = append(asked, q)
	}
	for i, n := range nodes {
		size, err := n.command("DBSIZE")
		must(t, err)
		if size == "0" {
			t.Errorf("node %d has no account", i)
		}
		_, err = n.command("SCRIPT", "FLUSH")
		must(t, err)
	}
	held := func(want string) {
		t.Helper()
		for _, q := range asked {
			said, counted := a.sum(q.Account)
			same(t, q.Account, []string{said, counted}, []string{want, want})
		}
	}
	for _, q := range asked {
		must(t, a.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 25, Record: []byte("row")}))
	}
	held("25")
	for i, n := range nodes {
		if i == 1 {
			n.lose()
			eventually(t, func() error { return restoredSlots(n, 5461, 10921) })
		} else {
			_, err := n.command("FLUSHALL")
			must(t, err)
		}
		eventually(t, func() error { return a.Sync(ctx) })
		held("25")
	}
	must(t, a.Renew(ctx))
	a.sync()
	b.expire(a.owner.name)
	var batch []Confirmation
	for range 40 {
		for _, o := range b.orphans() {
			same(t, "orphan", []any{o.Amount, string(o.Record), o.Finished}, []any{int64(25), "row", true})
			batch = append(batch, Confirmation{RequestID: o.RequestID, Account: o.Account, Balance: 975, Version: 2})
		}
		must(t, b.Confirm(ctx, batch))
	}
	held("0")
	same(t, "reaped", len(batch), len(asked))
}

// restoredSlots gives a node that lost its data its part of the cluster again, if the others do not know it any more.
func restoredSlots(n *process, first, last int) error {
	if info, err := n.command("CLUSTER", "INFO"); err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_assigned:16384") {
		return nil
	}
	_, _ = n.command(addSlots(first, last)...) // it may have them
	return errors.New("the cluster is not whole")
}

// A primary is killed, its replica takes over behind another port: what it lacks is noticed, and its holds come back.
func TestFailover(t *testing.T) {
	primary := newProcess(t)
	replica := newProcess(t, "--replicaof", "127.0.0.1", primary.port)
	linked := func() error {
		info, err := replica.command("INFO", "replication")
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("the replica is not linked")
		}
		return err
	}
	eventually(t, linked)
	before := &store{tb: t, Redis: openOwner(t, primary.URL, "a")}
	old, d, err := admitTo(before, "ns/acme", 100)
	must(t, err)
	same(t, "outcome", d.Outcome, Admitted)
	eventually(t, func() error {
		n, err := replica.command("HGET", holdsKey("ns/acme"), old.ID)
		if err == nil && n == "" {
			err = errors.New("the hold is not there yet")
		}
		return err
	})
	_, err = replica.command("REPLICAOF", "NO", "ONE") // cut off just before the primary takes one more
	must(t, err)
	_, d, err = admitTo(before, "ns/acme", 300)
	must(t, err)
	same(t, "outcome", d.Outcome, Admitted)
	primary.kill()
	// The same process, whose connections now lead to the new primary.
	opt, err := rueidis.ParseURL(replica.URL)
	must(t, err)
	before.drop(before.client)
	before.driver.InitAddress = opt.InitAddress
	before.due()
	_, d, err = admitTo(before, "ns/acme", 601)
	must(t, err)
	same(t, "what was lost with the primary is held again", []any{d.Outcome, d.Reserved, d.Held}, []any{Admitted, int64(400), int64(600)})
	same(t, "sum", before.held(), "1000")
}

// A store that refuses writes is left for whoever is behind the address then; one that loads is waited for.
func TestReadOnlyAndLoading(t *testing.T) {
	primary := newProcess(t)
	node := newProcess(t, "--replicaof", "127.0.0.1", primary.port)
	s := &store{tb: t, Redis: openOwner(t, node.URL, "a")}
	s.opts.Timeout = 300 * time.Millisecond
	err := s.LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: 100, Version: 1})
	if err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Fatalf("a replica took a write: %v", err)
	}
	s.opts.Timeout = 20 * time.Second
	done := make(chan error)
	go func() {
		done <- s.LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: 100, Version: 1})
	}()
	_, err = node.command("REPLICAOF", "NO", "ONE")
	must(t, err)
	must(t, <-done)
	_, d, err := admitTo(s, "ns/acme", 60)
	must(t, err)
	same(t, "outcome", d.Outcome, Admitted)
}

func TestPassingErrors(t *testing.T) {
	s := newMini(t)
	must(t, s.Ping(context.Background()))
	for text, want := range map[string][]bool{
		"LOADING Redis is loading the dataset in memory": {true, false}, "READONLY You can't write against a read only replica.": {true, true},
		"ERR Error running script: @user_script:1: -READONLY You can't write": {true, true}, "CLUSTERDOWN Hash slot not served": {true, false},
		"MASTERDOWN Link with MASTER is down": {true, false}, "NOSCRIPT No matching script": {true, false}, "ERR syntax error": {false, false},
		"OOM command not allowed": {false, false},
	} {
		s.mini.SetError(text)
		err := s.raw("GET", "x").Error()
		passes, elsewhere := passing(err)
		same(t, text, []bool{passes, elsewhere}, want)
		passes, elsewhere = passing(errors.Join(nil, fmt.Errorf("in a batch: %w", err)))
		same(t, text+", wrapped", []bool{passes, elsewhere}, want)
	}
	s.mini.SetError("LOADING wait")
	s.opts.Timeout = 5 * time.Second
	done := make(chan error)
	go func() { done <- s.Ping(context.Background()) }()
	s.mini.SetError("")
	must(t, <-done)
	passes, _ := passing(errors.New("LOADING"))
	same(t, "another error", passes, false)
}

// Claims, records, overdrafts, a ledger that is away, changes by the clock and adopted holds, on accounts of every node.
func TestDegradedOnClusterOfThree(t *testing.T) {
	nodes, url := newTrio(t)
	a := &store{tb: t, Redis: openOwner(t, url, "a")}
	b := &store{tb: t, Redis: openOwner(t, url, "b")}
	ctx := context.Background()
	for i := range 24 {
		account := fmt.Sprintf("ns/%d", i)
		to := func(q *Request) { q.Account, q.Record = account, []byte("orphan") }
		same(t, "claim", a.claim(account, "name", "req_1", time.Hour), "req_1")
		same(t, "claimed", b.claim(account, "name", "req_2", time.Hour), "req_1")
		must(t, b.GiveUp(ctx, account, "name", "req_1"))
		same(t, "given up", b.claim(account, "name", "req_2", time.Hour), "req_2")
		_, d, err := admitTo(a, account, 60)
		must(t, err)
		must(t, a.LoadAccount(ctx, Copy{Account: account, Spendable: 200, Version: 2, Next: d.Now.Add(time.Hour).UnixMicro()}))
		a.want(request(41, to, away), LedgerAway)
		a.want(request(40, to, away), Admitted)
		a.want(request(101, to), InsufficientCredits)
		a.want(request(101, to, func(q *Request) { q.Overdraft = 1 }), Admitted)
		a.adopted(request(5, to), 5, "orphan")
		a.want(request(1, to), ReloadAccount)
		must(t, a.LoadAccount(ctx, Copy{Account: account, Spendable: 200, Version: 2, Next: 1}))
		d = a.want(request(0, to), InsufficientCredits)
		same(t, "all is held", d.Reserved, int64(60+40+101+5))
	}
	for i, n := range nodes {
		keys, err := n.command("KEYS", "*:claim:*")
		must(t, err)
		if keys == "[]" {
			t.Errorf("node %d has no claim", i)
		}
	}
	b.expire(a.owner.name)
	records := 0
	for range 40 {
		var batch []Confirmation
		for _, o := range b.orphans() {
			if string(o.Record) == "orphan" {
				records++
			}
			batch = append(batch, Confirmation{RequestID: o.RequestID, Account: o.Account})
		}
		must(t, b.Confirm(ctx, batch))
	}
	same(t, "records", records, 24*3)
}
