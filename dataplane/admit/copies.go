package admit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/pricing"
)

var (
	//go:embed lua/finish.lua
	finishLua string
	//go:embed lua/account.lua
	accountLua string
	//go:embed lua/key.lua
	keyLua string
)

var (
	finishScript  = rueidis.NewLuaScriptRetryable(holdLua + holdsLua + inSpans + finishLua)
	accountScript = rueidis.NewLuaScriptRetryable(holdLua + holdsLua + accountLua)
	keyScript     = rueidis.NewLuaScriptRetryable(holdLua + keyLua)
)

// idsPerCall bounds the work of one call of account.lua.
const idsPerCall = 500

// keepWindows says for how many seconds before a window the copies of older ones stay: a clock that is a little behind
// still asks for the one before.
var keepWindows = map[string]int64{"Day": 2 * 86_400, "Month": 62 * 86_400}

// Finish makes the hold its request's actual cost and frees its slot. Tokens that were not estimated may take a bucket below
// empty, by at most a minute's worth. Once the decision of the request is no longer kept (HoldFor), or after Confirm,
// nothing changes.
func (r *Redis) Finish(ctx context.Context, f Finish) error {
	if f.RequestID == "" || f.Account == "" || f.KeyDigest == "" || f.Actual < 0 || f.Actual > MaxNano || len(f.Record) > MaxRecord ||
		f.InputTokens < 0 || f.InputTokens > MaxNano || f.OutputTokens < 0 || f.OutputTokens > MaxNano {
		return fmt.Errorf("finishing: actual %d, tokens %d and %d; request id, account and key must be there: %w",
			f.Actual, f.InputTokens, f.OutputTokens, ErrRange)
	}
	keys := []string{arriveKey(f.Account, f.KeyDigest), holdsKey(f.Account), runningKey(f.Account)}
	args := []string{f.RequestID, decimal(f.Actual), decimal(f.InputTokens), decimal(f.OutputTokens), string(f.Record), f.KeyDigest}
	if r.owner != nil { // known here before it is told: Sync tells it where this call does not
		r.owner.finished(f)
	}
	var there int64
	err := r.do(ctx, "finishing", func(ctx context.Context, c rueidis.Client) (err error) {
		there, err = finishScript.Exec(ctx, c, keys, args).AsInt64()
		return err
	})
	if err != nil || there > 0 || r.owner == nil || !r.owner.knows(holdID{f.Account, f.RequestID}) {
		return err
	}
	// The store has lost the hold, or somebody took this process for dead and ended it: until it is settled it has to stand.
	return r.syncAccount(ctx, f.Account, nil)
}

// Confirm ends the holds of settled requests. A hold that is not there is no error; a copy that is not there is made, but
// the next admission asks to have it loaded: a settlement may be older than what the store has lost. Keys of accounts go one by one, pipelined, each with its spends in one step: an error may
// leave some of them done, and calling again is safe.
func (r *Redis) Confirm(ctx context.Context, cs []Confirmation) error {
	calls, err := r.confirmations(cs)
	if err != nil {
		return fmt.Errorf("confirming: %w", err)
	}
	if len(calls) == 0 {
		return nil
	}
	ids := make([]holdID, len(cs))
	for i, c := range cs {
		ids[i] = holdID{c.Account, c.RequestID}
	}
	return r.ending(ids, func() error {
		return r.do(ctx, "confirming", func(ctx context.Context, c rueidis.Client) error {
			return execAll(ctx, c, accountScript, calls)
		})
	})
}

// callsAtOnce bounds how many calls wait for their answers; the driver pipelines them.
const callsAtOnce = 64

// execAll makes independent calls. Each loads the script where it is not there: a node that is down, or that has just
// forgotten its scripts, fails no other's calls.
func execAll(ctx context.Context, c rueidis.Client, script *rueidis.Lua, calls []rueidis.LuaExec) error {
	if len(calls) == 1 {
		return script.Exec(ctx, c, calls[0].Keys, calls[0].Args).Error()
	}
	errs := make([]error, len(calls))
	room := make(chan struct{}, callsAtOnce)
	var running sync.WaitGroup
	for i, call := range calls {
		room <- struct{}{}
		running.Go(func() {
			errs[i] = script.Exec(ctx, c, call.Keys, call.Args).Error()
			<-room
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// settled is what confirmations say of one key of an account.
type settled struct {
	newest Confirmation
	spends map[Spend]pricing.Nano // by window, Spent being 0 there
	ids    []string
}

// confirmations makes one call of account.lua for each key (more if it has very many requests), with the newest balance.
func (r *Redis) confirmations(cs []Confirmation) ([]rueidis.LuaExec, error) {
	type of struct{ account, digest string }
	all := map[of]*settled{}
	var order []*settled
	for _, c := range cs {
		if err := c.check(); err != nil {
			return nil, err
		}
		c.Balance = clamp(c.Balance)
		s := all[of{c.Account, c.KeyDigest}]
		if s == nil {
			s = &settled{newest: c, spends: map[Spend]pricing.Nano{}}
			all[of{c.Account, c.KeyDigest}], order = s, append(order, s)
		}
		s.add(c)
	}
	var calls []rueidis.LuaExec
	for _, s := range order {
		call := accountCall{account: s.newest.Account, digest: s.newest.KeyDigest, balance: decimal(s.newest.Balance), version: decimal(s.newest.Version), suspended: s.newest.Suspended}
		if s.newest.Version == 0 { // a release alone: no copy
			call.balance, call.version = "", ""
		}
		for w, spent := range s.spends {
			call.spends = append(call.spends, Spend{w.Period, w.Window, spent})
		}
		if len(s.ids) == 0 {
			calls = append(calls, r.exec(call))
		}
		for call.ids = range slices.Chunk(s.ids, idsPerCall) {
			calls = append(calls, r.exec(call))
		}
	}
	return calls, nil
}

func (s *settled) add(c Confirmation) {
	if c.Version > s.newest.Version {
		s.newest = c
	}
	for _, sp := range c.Spends {
		w := Spend{Period: sp.Period, Window: sp.Window}
		s.spends[w] = max(s.spends[w], sp.Spent)
	}
	if c.RequestID != "" {
		s.ids = append(s.ids, c.RequestID)
	}
}

func (c Confirmation) check() error {
	if err := checkAccount(c.Account, c.Version); err != nil {
		return err
	}
	for _, s := range c.Spends {
		if err := s.check(c.KeyDigest); err != nil {
			return err
		}
	}
	return nil
}

func (s Spend) check(digest string) error {
	if digest == "" || !isPeriod(s.Period) || s.Window < 0 || s.Window > MaxNano || s.Spent < 0 || s.Spent > MaxNano {
		return fmt.Errorf("%d spent in the %q from %d: %w", s.Spent, s.Period, s.Window, ErrRange)
	}
	return nil
}

// accountCall is a call of account.lua; what it does not say stays.
type accountCall struct {
	account, digest  string
	balance, version string // of the copy
	changes          string // when the account does by the clock; '' is not known
	suspended        bool   // of the copy
	epoch            int64  // in which the copies were read; 0: they may be older
	spends           []Spend
	ids              []string // of holds to end
}

func (r *Redis) exec(a accountCall) rueidis.LuaExec {
	args := []string{a.balance, a.version, decimal(r.opts.Idle.Milliseconds()), decimal(a.epoch), decimal(r.opts.KeyAge.Microseconds()), a.changes, "", decimal(len(a.spends))}
	if a.suspended {
		args[6] = "1"
	}
	for _, s := range a.spends {
		args = append(args, s.Period, decimal(s.Window), decimal(s.Spent), decimal(s.Window-keepWindows[s.Period]))
	}
	keys := []string{accountKey(a.account), holdsKey(a.account), expiryKey(a.account), runningKey(a.account), spentKey(a.account, a.digest)}
	for _, id := range a.ids {
		keys = append(keys, requestKey(a.account, id))
	}
	return rueidis.LuaExec{Keys: keys, Args: append(args, a.ids...)}
}

func checkAccount(account string, version int64) error {
	if account == "" || version < 0 || version > MaxNano {
		return fmt.Errorf("account %q, version %d: %w", account, version, ErrRange)
	}
	return nil
}

// clamp makes a balance one that Lua counts exactly. The copy only decides: what is clamped from below is refused as
// before, what is clamped from above admits no more than it has. An error instead would leave an older, maybe better,
// balance standing, and the account's holds with it.
func clamp(balance pricing.Nano) pricing.Nano { return max(-MaxNano, min(balance, MaxNano)) }

// Release ends one hold; one that is not there is no error. What it took of the rates stays taken.
func (r *Redis) Release(ctx context.Context, account, requestID string) error {
	if account == "" || requestID == "" {
		return fmt.Errorf("releasing: account and request id must be there: %w", ErrRange)
	}
	return r.ending([]holdID{{account, requestID}}, func() error {
		return r.do(ctx, "releasing a hold", func(ctx context.Context, c rueidis.Client) error {
			call := r.exec(accountCall{account: account, ids: []string{requestID}})
			return accountScript.Exec(ctx, c, call.Keys, call.Args).Error()
		})
	})
}

// LoadAccount copies a row that was read just now; an older version never wins over a copy of the last KeyAge.
func (r *Redis) LoadAccount(ctx context.Context, of Copy) error {
	account, balance, version := of.Account, of.Spendable, of.Version
	if err := checkAccount(account, version); err != nil || of.Next < 0 || of.Next > MaxNano {
		return fmt.Errorf("loading an account that changes at %d: %w", of.Next, errors.Join(err, ErrRange))
	}
	if err := r.syncLost(ctx, account); err != nil { // or the copy would be lent out without what this process holds
		return err
	}
	return r.load(ctx, "loading an account", accountCall{account: account, balance: decimal(clamp(balance)), version: decimal(version), changes: decimal(of.Next), suspended: of.Suspended})
}

// LoadSpend copies what a key has spent in a window, read just now; a smaller amount of the same window never wins over a
// copy of the last KeyAge.
func (r *Redis) LoadSpend(ctx context.Context, account, digest string, s Spend) error {
	if err := s.check(digest); err != nil || account == "" {
		return fmt.Errorf("loading what a key of account %q has spent: %w", account, errors.Join(err, ErrRange))
	}
	return r.load(ctx, "loading what a key has spent", accountCall{account: account, digest: digest, spends: []Spend{s}})
}

// load makes a call with copies of this epoch.
func (r *Redis) load(ctx context.Context, what string, a accountCall) error {
	return r.do(ctx, what, func(ctx context.Context, c rueidis.Client) (err error) {
		if a.epoch, err = r.epoch.now(ctx, c); err != nil {
			return err
		}
		call := r.exec(a)
		return accountScript.Exec(ctx, c, call.Keys, call.Args).Error()
	})
}

// LoadKey copies a key's state, read just now; an older version never wins over a copy of the last KeyAge, but KeyRevoked,
// whatever its version, wins over all, for good.
func (r *Redis) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	known := state == KeyActive || state == KeyDisabled || state == KeyRevoked
	if account == "" || digest == "" || strings.Contains(digest, " ") || !known || version < 0 || version > MaxNano {
		return fmt.Errorf("loading a key of account %q, state %q, version %d: %w", account, state, version, ErrRange)
	}
	return r.do(ctx, "loading a key", func(ctx context.Context, c rueidis.Client) error {
		var epoch int64 // a tombstone needs none
		if state != KeyRevoked {
			var err error
			if epoch, err = r.epoch.now(ctx, c); err != nil {
				return err
			}
		}
		args := []string{state, decimal(version), decimal(r.opts.Idle.Milliseconds()), decimal(epoch), decimal(r.opts.KeyAge.Microseconds())}
		return keyScript.Exec(ctx, c, []string{stateKey(account, digest)}, args).Error()
	})
}
