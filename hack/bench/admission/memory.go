package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/layers-dev/layers/dataplane/admit"
)

// many is how many of each thing memory is measured of.
const many = 5000

// used is what the server says that its data take.
func (w *world) used(ctx context.Context) (bytes float64, err error) {
	text, err := w.raw.Do(ctx, w.raw.B().MemoryStats().Build()).AsMap()
	if err != nil {
		return 0, err
	}
	size := text["dataset.bytes"]
	n, err := size.AsInt64()
	if err != nil {
		return 0, err
	}
	overhead := text["overhead.total"]
	o, err := overhead.AsInt64()
	return float64(n + o), err
}

// memory prints what things take.
func (w *world) memory(ctx context.Context, out io.Writer) error {
	name := func(i int) string { return "memory/" + strconv.Itoa(i) }
	var ids []admit.Confirmation
	ask := func(prefix, account string, record []byte) func(int) error {
		return func(i int) error {
			q := admit.Request{ID: prefix + id(i), Account: account, KeyDigest: digest, KeyVersion: 1, Hold: 1000, HoldFor: admit.DefaultIdle, Record: record}
			ids = append(ids, admit.Confirmation{RequestID: q.ID, Account: q.Account})
			return w.admit(ctx, q)
		}
	}
	var last float64
	last, err := w.used(ctx)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(i int) error
	}{
		{"an idle account", func(i int) error {
			return w.redis.LoadAccount(ctx, admit.Copy{Account: name(i), Spendable: 1_000_000_000, Version: 1})
		}},
		{"a key", func(i int) error { return w.redis.LoadKey(ctx, name(i), digest, admit.KeyActive, 1) }},
		{"a hold and its decision", ask("a", account(0), nil)},
		{"a hold with a record of 600 bytes", ask("b", account(0), w.record)},
		{"a hold with a record of 1024 bytes", ask("c", account(0), make([]byte, admit.MaxRecord))},
		{"a claim", func(i int) error {
			_, err := w.redis.Claim(ctx, name(i), digest, id(i), admit.DefaultIdle)
			return err
		}},
	} {
		for i := range many {
			if err := step.do(i); err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
		}
		now, err := w.used(ctx)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%s takes %.0f bytes of Redis\n", step.what, (now-last)/many)
		last = now
	}
	return w.redis.Confirm(ctx, ids)
}
