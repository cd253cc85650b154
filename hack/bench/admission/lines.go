package main

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// bareLua reserves as little as one can and still keep to the books; see the ADR.
//
//go:embed bare.lua
var bareLua string

const (
	trivialLine = "a  a script that returns 1"
	bareLine    = "b  a bare reservation script, raw"
	scriptLine  = "c  admit.lua, prepared, raw"
	admitLine   = "d  Admit"
	tripleLine  = "e  Admit, Finish and Confirm"
	rulesLine   = "d' Admit under every rule"
	hotBareLine = "b1 the bare script on one account"
	hotLine     = "d1 Admit on one account"
	hotTriple   = "e1 Admit, Finish and Confirm on one account"
)

// line is one thing to measure: call is made by many at once, for request number n, and clean takes away what a turn has left.
type line struct {
	name string
	call func(ctx context.Context, n int) error
	hot  bool
	kept bool // its holds stand until the turn is over
}

// world is the stores that the lines use.
type world struct {
	options
	raw    rueidis.Client
	redis  *admit.Redis
	record []byte
	calls  []admit.Call
}

func account(i int) string { return "bench/" + strconv.Itoa(i) }

const digest = "5f2b9e7c1a4d8036e5f2b9e7c1a4d8036e5f2b9e7c1a4d8036e5f2b9e7c1a4d8"

func newWorld(ctx context.Context, url string, o options) (*world, error) {
	raw, err := newClient(url)
	if err != nil {
		return nil, err
	}
	w := &world{options: o, raw: raw, record: make([]byte, 600)}
	w.redis, err = admit.NewRedis(admit.Options{URL: url, Timeout: 30 * time.Second, Lease: time.Hour, KeyAge: time.Hour, Owner: "4f9c2d1e-8a37-4b6f-9d55-0c1e2f3a4b5c.8c1d"})
	if err != nil {
		return nil, err
	}
	for i := range o.accounts {
		if err := w.open(ctx, i); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// open loads an account, lets this process be known to use it, and prepares its call.
func (w *world) open(ctx context.Context, i int) error {
	err := w.redis.LoadKey(ctx, account(i), digest, admit.KeyActive, 1)
	if err == nil {
		err = w.redis.LoadAccount(ctx, admit.Copy{Account: account(i), Spendable: admit.MaxNano, Version: 1})
	}
	if err != nil {
		return err
	}
	q := w.request(i, "first"+strconv.Itoa(i))
	d, err := w.redis.Admit(ctx, q)
	if err != nil || d.Outcome != admit.Admitted {
		return fmt.Errorf("the first admission on %s: outcome %d, %w", q.Account, d.Outcome, err)
	}
	if err := w.redis.LoadSpend(ctx, q.Account, digest, admit.Spend{Period: "Month", Window: month(d.Now)}); err != nil {
		return err
	}
	call, err := w.redis.Prepare(ctx, q)
	w.calls = append(w.calls, call)
	return err
}

func month(t time.Time) int64 { return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Unix() }

func (w *world) close() {
	w.raw.Close()
	w.redis.Close()
}

func (w *world) request(i int, id string) admit.Request {
	return admit.Request{
		ID: id, Account: account(i), KeyDigest: digest, KeyVersion: 1, Hold: 1000, Floor: 100, Expected: 500, Healthy: 5000, HoldFor: time.Minute,
	}
}

// ruled puts every rule on a request.
func ruled(q admit.Request) admit.Request {
	for _, unit := range []snapshot.Unit{snapshot.RequestsPerMinute, snapshot.InputTokensPerMinute, snapshot.OutputTokensPerMinute} {
		q.Rates = append(q.Rates, admit.Rate{Unit: unit, Value: admit.MaxRate, Burst: admit.MaxRate, Cost: 1})
	}
	q.Rates = append(q.Rates, admit.Rate{Unit: snapshot.RequestsPerDay, Value: admit.MaxRate, Cost: 1})
	q.MaxConcurrent, q.Cap = admit.MaxRate, &admit.Cap{Amount: admit.MaxNano, Period: "Month"}
	return q
}

func id(n int) string { return "req_0199f0c2-8a37-7b6f-9d55-" + strconv.Itoa(n) }

// lines are what is measured, in this order in each round.
func (w *world) lines() []line {
	trivial, bare := rueidis.NewLuaScript("return 1"), rueidis.NewLuaScript(bareLua)
	on := func(n int) int { return n % w.accounts }
	one := func(int) int { return 0 }
	reserve := func(of func(int) int) func(context.Context, int) error {
		return func(ctx context.Context, n int) error {
			a, id := account(of(n)), id(n)
			return bare.Exec(ctx, w.raw, []string{"bare:{" + a + "}:account", "bare:{" + a + "}:holds", "bare:{" + a + "}:request:" + id}, []string{id, "1000", "60000"}).Error()
		}
	}
	return []line{
		{name: trivialLine, call: func(ctx context.Context, n int) error {
			return trivial.Exec(ctx, w.raw, []string{account(on(n))}, nil).Error()
		}},
		{name: bareLine, call: reserve(on)},
		{name: scriptLine, kept: true, call: func(ctx context.Context, n int) error { return w.prepared(ctx, on(n), id(n)) }},
		{name: admitLine, kept: true, call: func(ctx context.Context, n int) error { return w.admit(ctx, w.request(on(n), id(n))) }},
		{name: tripleLine, call: func(ctx context.Context, n int) error { return w.triple(ctx, on(n), n) }},
		{name: rulesLine, kept: true, call: func(ctx context.Context, n int) error { return w.admit(ctx, ruled(w.request(on(n), id(n)))) }},
		{name: hotBareLine, hot: true, call: reserve(one)},
		{name: hotLine, hot: true, kept: true, call: func(ctx context.Context, n int) error { return w.admit(ctx, w.request(0, id(n))) }},
		{name: hotTriple, hot: true, call: func(ctx context.Context, n int) error { return w.triple(ctx, 0, n) }},
	}
}

func (w *world) prepared(ctx context.Context, i int, id string) error {
	c := w.calls[i]
	keys := append([]string{"lyr:{" + account(i) + "}:request:" + id}, c.Keys[1:]...)
	args := append([]string{id}, c.Args[1:]...)
	return c.Script.Exec(ctx, w.raw, keys, args).Error()
}

func (w *world) admit(ctx context.Context, q admit.Request) error {
	d, err := w.redis.Admit(ctx, q)
	if err == nil && d.Outcome != admit.Admitted {
		err = fmt.Errorf("%s: outcome %d", q.ID, d.Outcome)
	}
	return err
}

// triple is the whole life of a request in the store, as a gateway makes it.
func (w *world) triple(ctx context.Context, i, n int) error {
	q := w.request(i, id(n))
	if err := w.admit(ctx, q); err != nil {
		return err
	}
	if err := w.redis.Finish(ctx, admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: digest, Actual: 400, Record: w.record}); err != nil {
		return err
	}
	return w.redis.Confirm(ctx, []admit.Confirmation{{RequestID: q.ID, Account: q.Account, Balance: admit.MaxNano, Version: int64(n) + 2}})
}
