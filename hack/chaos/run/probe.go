package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

// replay posts all settlements and all grants once more, the last ones first: nothing changes (P6).
func (c *chaos) replay(ctx context.Context, w *judge.World) ([]judge.Violation, error) {
	before, err := digests(ctx, c.postgres.URL)
	if err != nil {
		return nil, err
	}
	again, err := receipts(ctx, c.ledger, w.Rows)
	if err != nil {
		return nil, err
	}
	slices.Reverse(again)
	var out []judge.Violation
	for part := range slices.Chunk(again, 200) {
		settled, err := c.ledger.Settle(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("settling again: %w", err)
		}
		for _, s := range settled {
			if !s.Duplicate {
				out = append(out, judge.Violation{Rule: "P6", RequestID: s.RequestID, Text: fmt.Sprintf("settling it again is new: %+v", s)})
			}
		}
	}
	for _, g := range slices.Backward(c.plan.Grants) {
		g.Copies = 1
		c.post(ctx, g)
	}
	after, err := digests(ctx, c.postgres.URL)
	if err != nil {
		return nil, err
	}
	return append(out, judge.Same("P6", "a replay", before, after)...), nil
}

// quiet answers the n-th account that only probes use.
func (c *chaos) quiet(n int) (plan.Account, int) {
	for i, a := range c.plan.Accounts {
		if a.Class == plan.Quiet {
			if n == 0 {
				return a, i
			}
			n--
		}
	}
	return plan.Account{}, 0
}

// refuse has requests refused on an account that is at rest: no key of it changes (P9).
func (c *chaos) refuse(ctx context.Context, _ *judge.World) (out []judge.Violation, err error) {
	account, index := c.quiet(0)
	q := plan.Request{N: 1_000_000, Account: index, Model: plan.ModelDear, Input: 50, Output: 10, MaxTokens: 1000}
	var before map[string]string
	for i := range 2 * plan.Gateways {
		q.Stream = i%2 == 0
		call := c.client.Do(ctx, q, i, i%plan.Gateways)
		for n := 0; n < touches && call.Status >= http.StatusInternalServerError && pause(ctx, time.Second); n++ { // too busy to say
			call = c.client.Do(ctx, q, i, i%plan.Gateways)
		}
		if call.Status != http.StatusPaymentRequired {
			out = append(out, judge.Violation{Rule: "P9", Account: account.ID, RequestID: call.RequestID, Text: fmt.Sprintf("an account without money was answered %+v", call)})
		}
		after, err := c.watch.dump(ctx, account.ID)
		if err != nil {
			return nil, err
		}
		if i >= plan.Gateways { // the first refusals have the key and the account loaded
			out = append(out, judge.Same("P9", "a refusal", before, after)...)
		}
		before = after
	}
	return out, nil
}

// raise asks for the same answer with more and more balance: once it would be admitted, it always is (P10).
func (c *chaos) raise(ctx context.Context, _ *judge.World) (out []judge.Violation, err error) {
	for n, q := range []map[string]any{
		{"model": plan.ModelDear, "max_tokens": 4000, "stream": true}, {"model": plan.ModelDear, "max_tokens": 4000}, {"model": plan.ModelCancel},
	} {
		account, _ := c.quiet(1 + n)
		q["messages"] = []any{map[string]any{"role": "user", "content": "How much would you cost?"}}
		var admitted []bool
		for step, amount := 0, plan.USD/1000; amount < 32*plan.USD; step, amount = step+1, amount*3/2 {
			more := ledger.Grant{ID: fmt.Sprintf("raise-%d-%d", n, step), Account: account.ID, Amount: amount / 3, Kind: ledger.GrantManual, Reason: "chaos"}
			var yes bool
			err := errors.Join(again(ctx, func() error { return c.grant(ctx, more) }), again(ctx, func() (err error) {
				yes, err = c.estimate(ctx, account.Keys[0], q)
				return err
			}))
			if err != nil {
				return nil, err
			}
			admitted = append(admitted, yes)
		}
		if !admitted[len(admitted)-1] {
			out = append(out, judge.Violation{Rule: "P10", Account: account.ID, Text: fmt.Sprintf("plenty of money is refused: %v", admitted)})
		}
		out = append(out, judge.Monotone(admitted)...)
	}
	return out, nil
}

// estimate asks whether a request would be admitted now.
func (c *chaos) estimate(ctx context.Context, key string, q map[string]any) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	b, _ := json.Marshal(q) // texts and numbers always marshal
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.client.APIs[0]+"/v1/estimate", bytes.NewReader(b))
	if err != nil {
		return false, err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := c.client.HTTP.Do(r)
	if err != nil {
		return false, fmt.Errorf("asking for an estimate: %w", err)
	}
	defer resp.Body.Close()
	var got struct {
		Admitted *bool `json:"admitted"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Admitted == nil {
		return false, errors.Join(fmt.Errorf("an estimate of status %d says nothing", resp.StatusCode), err)
	}
	return *got.Admitted, nil
}
