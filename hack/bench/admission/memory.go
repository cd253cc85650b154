package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/layers-dev/layers/dataplane/admit"
)

// many is how many of each thing memory is measured of.
const many = 2000

// used is what the server says that the keys of the accounts of this measurement take, their names and their places among
// the keys with them.
func (w *world) used(ctx context.Context) (bytes int64, err error) {
	keys, err := w.raw.Do(ctx, w.raw.B().Keys().Pattern("lyr:{memory/*").Build()).AsStrSlice()
	if err != nil {
		return 0, err
	}
	for _, k := range keys {
		n, err := w.raw.Do(ctx, w.raw.B().MemoryUsage().Key(k).Samples(0).Build()).AsInt64()
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// memory prints what things take.
func (w *world) memory(ctx context.Context, out io.Writer) error {
	name := func(i int) string { return "memory/" + strconv.Itoa(i) }
	var ids []admit.Confirmation
	ask := func(prefix, account string, record []byte) func(int) error {
		return func(i int) error {
			q := admit.Request{ID: prefix + id(i), Account: account, KeyDigest: digest, KeyVersion: 1, Hold: 1000, HoldFor: admit.DefaultIdle, Record: record}
			ids = append(ids, admit.Confirmation{RequestID: q.ID, Account: q.Account})
			d, err := w.redis.Admit(ctx, q)
			if err == nil && d.Outcome != admit.Admitted {
				err = fmt.Errorf("%s: outcome %d", q.ID, d.Outcome)
			}
			return err
		}
	}
	busy := name(0)
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
		{"a hold and its decision", ask("a", busy, nil)},
		{"a hold with a record of 600 bytes", ask("b", busy, w.record)},
		{"a hold with a record of 1024 bytes", ask("c", busy, make([]byte, admit.MaxRecord))},
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
		_, _ = fmt.Fprintf(out, "%s takes %d bytes of Redis\n", step.what, (now-last)/many)
		last = now
	}
	return w.redis.Confirm(ctx, ids)
}
