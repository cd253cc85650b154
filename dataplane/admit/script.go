package admit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/pricing"
)

//go:embed lua/admit.lua
var admitLua string

//go:embed lua/account.lua
var accountLua string

//go:embed lua/key.lua
var keyLua string

// All are safe to repeat, so the driver may try again on a new connection until the deadline.
var (
	admitScript   = rueidis.NewLuaScriptRetryable(admitLua)
	accountScript = rueidis.NewLuaScriptRetryable(accountLua)
	keyScript     = rueidis.NewLuaScriptRetryable(keyLua)
)

// MaxNano bounds every amount that goes to Redis, in nano-USD: Lua counts in doubles, exact below it.
const MaxNano pricing.Nano = 9_000_000_000_000_000

// ErrRange says that a request cannot be put to the script: an amount beyond MaxNano, a missing id, a negative limit.
var ErrRange = errors.New("out of range")

// idsPerCall bounds the work of one call of account.lua.
const idsPerCall = 500

// minute in microseconds.
const minute = int64(time.Minute / time.Microsecond)

// The keys of one account share its hash tag, so that a script touches one slot of a cluster.
func accountKey(account string) string        { return "lyr:{" + account + "}:account" }
func holdsKey(account string) string          { return "lyr:{" + account + "}:holds" }
func expiryKey(account string) string         { return "lyr:{" + account + "}:expiry" }
func requestKey(account, id string) string    { return "lyr:{" + account + "}:request:" + id }
func stateKey(account, digest string) string  { return "lyr:{" + account + "}:key:" + digest }
func arriveKey(account, digest string) string { return "lyr:{" + account + "}:rate:" + digest }

// Admit decides one request. See Admitter.
//
// Holds that are past HoldFor count no more and go with the next admission: until owners hold leases, time is all that
// tells a hold whose replica died from one whose request still runs.
func (r *Redis) Admit(ctx context.Context, q Request) (Decision, error) {
	if err := q.check(); err != nil {
		return Decision{}, fmt.Errorf("admitting: %w", err)
	}
	keys := []string{
		requestKey(q.Account, q.ID), stateKey(q.Account, q.KeyDigest), arriveKey(q.Account, q.KeyDigest),
		accountKey(q.Account), holdsKey(q.Account), expiryKey(q.Account),
	}
	unmetered := "0"
	if q.Unmetered {
		unmetered = "1"
	}
	args := []string{
		q.ID, decimal(q.KeyVersion), decimal(interval(q.RequestsPerMinute)), decimal(q.Burst), decimal(q.RequestsPerMinute),
		decimal(q.Hold), unmetered, decimal(q.HoldFor.Microseconds()), decimal(r.opts.Idle.Milliseconds()),
	}
	var d Decision
	err := r.do(ctx, "admitting", func(ctx context.Context, c rueidis.Client) error {
		text, err := admitScript.Exec(ctx, c, keys, args).ToString()
		if err == nil {
			d, err = parseDecision(text)
		}
		return err
	})
	return d, err
}

func (q Request) check() error {
	switch {
	case q.ID == "" || q.Account == "" || q.KeyDigest == "":
		return fmt.Errorf("request id, account and key must be there: %w", ErrRange)
	case q.Hold < 0 || q.Hold > MaxNano:
		return fmt.Errorf("hold %d: %w", q.Hold, ErrRange)
	case q.RequestsPerMinute < 0 || q.RequestsPerMinute > 0 && q.Burst < 1:
		return fmt.Errorf("limit %d a minute, burst %d: %w", q.RequestsPerMinute, q.Burst, ErrRange)
	case q.HoldFor < time.Millisecond:
		return fmt.Errorf("hold for %v: %w", q.HoldFor, ErrRange)
	}
	return nil
}

// interval is the time between two requests in whole microseconds, rounded up: never more than the limit; 0: no limit.
func interval(perMinute int64) int64 {
	if perMinute == 0 {
		return 0
	}
	return (minute + perMinute - 1) / perMinute
}

var outcomes = map[string]Outcome{
	"admitted": Admitted, "reload-key": ReloadKey, "key-refused": KeyRefused, "rate-limited": RateLimited,
	"reload-account": ReloadAccount, "insufficient-credits": InsufficientCredits,
}

// parseDecision reads the script's reply: a word and seven integers.
func parseDecision(text string) (Decision, error) {
	words := strings.Split(text, " ")
	outcome, ok := outcomes[words[0]]
	if !ok || len(words) != 8 {
		return Decision{}, fmt.Errorf("admit.lua answered %q", text)
	}
	var n [7]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(words[i+1], 10, 64); err != nil {
			return Decision{}, fmt.Errorf("admit.lua answered %q: %w", text, err)
		}
	}
	return Decision{
		Outcome:    outcome,
		Rate:       Limit{Limit: n[0], Remaining: n[1], Reset: time.Duration(n[2]) * time.Microsecond},
		RetryAfter: time.Duration(n[3]) * time.Microsecond,
		Now:        time.UnixMicro(n[4]).UTC(),
		Spendable:  n[5],
		Reserved:   n[6],
	}, nil
}

// Confirm ends the holds of settled requests. A hold that is not there is no error; a copy that is not there is made, as
// by LoadAccount. Accounts go one by one, pipelined: an error may leave some of them done, and calling again is safe.
func (r *Redis) Confirm(ctx context.Context, cs []Confirmation) error {
	calls, err := r.confirmations(cs)
	if err != nil {
		return fmt.Errorf("confirming: %w", err)
	}
	if len(calls) == 0 {
		return nil
	}
	return r.do(ctx, "confirming", func(ctx context.Context, c rueidis.Client) error {
		var errs []error
		for _, res := range accountScript.ExecMulti(ctx, c, calls...) {
			errs = append(errs, res.Error())
		}
		return errors.Join(errs...)
	})
}

// confirmations makes one call of account.lua for each account (more if it has very many), with the newest balance.
func (r *Redis) confirmations(cs []Confirmation) ([]rueidis.LuaExec, error) {
	newest, ids := map[string]Confirmation{}, map[string][]string{}
	var order []string
	for _, c := range cs {
		if err := checkAccount(c.Account, c.Version); err != nil {
			return nil, err
		}
		c.Balance = clamp(c.Balance)
		if was, ok := newest[c.Account]; !ok {
			order = append(order, c.Account)
			newest[c.Account] = c
		} else if c.Version > was.Version {
			newest[c.Account] = c
		}
		if c.RequestID != "" {
			ids[c.Account] = append(ids[c.Account], c.RequestID)
		}
	}
	var calls []rueidis.LuaExec
	for _, account := range order {
		c := newest[account]
		balance, version := decimal(c.Balance), decimal(c.Version)
		if c.Version == 0 { // a release alone: no copy
			balance, version = "", ""
		}
		if len(ids[account]) == 0 {
			calls = append(calls, r.accountCall(account, balance, version, nil))
		}
		for part := range slices.Chunk(ids[account], idsPerCall) {
			calls = append(calls, r.accountCall(account, balance, version, part))
		}
	}
	return calls, nil
}

func (r *Redis) accountCall(account, balance, version string, ids []string) rueidis.LuaExec {
	return rueidis.LuaExec{
		Keys: []string{accountKey(account), holdsKey(account), expiryKey(account)},
		Args: append([]string{balance, version, decimal(r.opts.Idle.Milliseconds())}, ids...),
	}
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

// Release ends one hold; one that is not there is no error.
func (r *Redis) Release(ctx context.Context, account, requestID string) error {
	if account == "" || requestID == "" {
		return fmt.Errorf("releasing: account and request id must be there: %w", ErrRange)
	}
	return r.account(ctx, "releasing a hold", r.accountCall(account, "", "", []string{requestID}))
}

// LoadAccount copies a committed row; an older version never wins.
func (r *Redis) LoadAccount(ctx context.Context, account string, balance pricing.Nano, version int64) error {
	if err := checkAccount(account, version); err != nil {
		return fmt.Errorf("loading an account: %w", err)
	}
	return r.account(ctx, "loading an account", r.accountCall(account, decimal(clamp(balance)), decimal(version), nil))
}

func (r *Redis) account(ctx context.Context, what string, call rueidis.LuaExec) error {
	return r.do(ctx, what, func(ctx context.Context, c rueidis.Client) error {
		return accountScript.Exec(ctx, c, call.Keys, call.Args).Error()
	})
}

// LoadKey copies a key's state; an older version never wins, but KeyRevoked, whatever its version, wins over all, for good.
func (r *Redis) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	known := state == KeyActive || state == KeyDisabled || state == KeyRevoked
	if account == "" || digest == "" || !known || version < 0 || version > MaxNano {
		return fmt.Errorf("loading a key of account %q, state %q, version %d: %w", account, state, version, ErrRange)
	}
	return r.do(ctx, "loading a key", func(ctx context.Context, c rueidis.Client) error {
		args := []string{state, decimal(version), decimal(r.opts.Idle.Milliseconds())}
		return keyScript.Exec(ctx, c, []string{stateKey(account, digest)}, args).Error()
	})
}
