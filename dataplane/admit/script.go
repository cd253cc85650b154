package admit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

var (
	//go:embed lua/hold.lua
	holdLua string
	//go:embed lua/holds.lua
	holdsLua string
	//go:embed lua/span.lua
	spanLua string
	//go:embed lua/rates.lua
	ratesLua string
	//go:embed lua/calendar.lua
	calendarLua string
	//go:embed lua/rare.lua
	rareLua string
	//go:embed lua/admit.lua
	admitLua string
)

// admitScript is admit.lua as it decides with these options. What it needs seldom is in functions that make others: each costs it
// time. The scripts are safe to repeat, so the driver may try again on a new connection until the deadline.
func admitScript(o Options) *rueidis.Lua {
	// An account that is not told of for as long as one is admitted on without the ledger is read again. (Where an older row may
	// not win yet, reading it again would never end.)
	constants := fmt.Sprintf("local KEY_AGE, COPY_AGE, AWAY_AGE, AWAY_MOST, IDLE = %d, %d, %d, %d, %d\n", o.KeyAge.Microseconds(),
		max(AwayAge, o.KeyAge).Microseconds(), AwayAge.Microseconds(), AwayMost, o.Idle.Milliseconds())
	rates := within("rates_of(first, now, second)", inSpans+ratesLua)
	return rueidis.NewLuaScriptRetryable(constants + within("rare()", holdLua+rareLua) + inCalendar + rates + admitLua)
}

// What is in a function is made only by a script that needs it.
var (
	inSpans    = within("spans()", spanLua)
	inCalendar = within("calendar()", calendarLua+"\nreturn window_of\n")
)

func within(function, body string) string {
	return "local function " + function + "\n" + body + "end\n"
}

// MaxNano bounds every amount that goes to Redis, in nano-USD: Lua counts in doubles, exact below it.
const MaxNano pricing.Nano = 9_000_000_000_000_000

// MaxRate bounds the value and the burst of a rate: what the scripts count exactly.
const MaxRate int64 = 1_000_000_000

// ErrRange says that a request cannot be put to the script: an amount beyond MaxNano, a missing id, a negative limit.
var ErrRange = errors.New("out of range")

// Rules of a Refusal that are no rates.
const (
	RuleConcurrency = "MaxConcurrentRequests"
	RuleCap         = "SpendCap"
	RuleCredits     = "Credits"
)

// The keys of one account share its hash tag, so that a script touches one slot of a cluster.
func accountKey(account string) string        { return "lyr:{" + account + "}:account" }
func holdsKey(account string) string          { return "lyr:{" + account + "}:holds" }
func expiryKey(account string) string         { return "lyr:{" + account + "}:expiry" }
func runningKey(account string) string        { return "lyr:{" + account + "}:running" }
func requestKey(account, id string) string    { return "lyr:{" + account + "}:request:" + id }
func stateKey(account, digest string) string  { return "lyr:{" + account + "}:key:" + digest }
func arriveKey(account, digest string) string { return "lyr:{" + account + "}:rate:" + digest }
func spentKey(account, digest string) string  { return "lyr:{" + account + "}:spent:" + digest }

// Admit decides one request. See Admitter.
//
// With Options.Owner the hold stands until Confirm, Release or Orphans of another process. Without, holds that are past
// HoldFor count no more and go with the next admission.
func (r *Redis) Admit(ctx context.Context, q Request) (Decision, error) {
	if err := q.check(); err != nil {
		return Decision{}, fmt.Errorf("admitting: %w", err)
	}
	if r.owner == nil {
		d, _, err := r.decide(ctx, "admitting", q, false)
		return d, err
	}
	r.owner.begin(q.Account, q.ID)
	d, stands, err := r.decide(ctx, "admitting", q, false)
	r.owner.admitted(q, d, stands, err)
	return d, err
}

// Preview answers what Admit would, and writes nothing. The id must be there; one that was admitted is answered with its
// decision. Pieces of a request may be asked about one by one, to hear of each rule that would refuse.
func (r *Redis) Preview(ctx context.Context, q Request) (Decision, error) {
	if err := q.check(); err != nil {
		return Decision{}, fmt.Errorf("previewing an admission: %w", err)
	}
	d, _, err := r.decide(ctx, "previewing an admission", q, true)
	return d, err
}

// decide also answers whether this owner's hold stands in the store: an id may come again after its hold has gone.
func (r *Redis) decide(ctx context.Context, what string, q Request, preview bool) (d Decision, stands bool, err error) {
	keys := admitKeys(q)
	err = r.do(ctx, what, func(ctx context.Context, c rueidis.Client) error {
		epoch, err := r.epoch.now(ctx, c)
		if err != nil {
			return err
		}
		if !preview {
			if err := r.syncLost(ctx, q.Account); err != nil {
				return err
			}
		}
		for range joinAttempts {
			var m membership
			if r.owner != nil && !preview {
				if m, err = r.member(ctx, c, q.Account); err != nil {
					return err
				}
			}
			reply, err := r.admitScript.Exec(ctx, c, keys, r.arguments(q, m, epoch, preview)).ToString()
			if err != nil {
				return err
			}
			text, elsewhere := strings.CutPrefix(reply, "-")
			if d, err = parseDecision(text); err != nil || d.Outcome != join {
				stands = !elsewhere
				return err
			}
			if err := r.join(ctx, c, q.Account); err != nil {
				return err
			}
		}
		return errLease
	})
	return d, stands, err
}

func (q Request) check() error {
	switch {
	case q.ID == "" || q.Account == "" || q.KeyDigest == "" || strings.Contains(q.ID, " ") || strings.Contains(q.KeyDigest+q.Meter, " "):
		return fmt.Errorf("request id, account and key must be there, without spaces: %w", ErrRange)
	case q.Hold < 0 || q.Hold > MaxNano:
		return fmt.Errorf("hold %d: %w", q.Hold, ErrRange)
	case q.Floor < 0 || q.Floor > q.Hold || q.Expected < 0 || q.Expected > q.Hold:
		return fmt.Errorf("hold %d, floor %d, expected %d: %w", q.Hold, q.Floor, q.Expected, ErrRange)
	case q.Healthy != 0 && (q.Healthy < q.Hold || q.Healthy > MaxNano):
		return fmt.Errorf("hold %d, healthy from %d: %w", q.Hold, q.Healthy, ErrRange)
	case q.Overdraft < 0 || q.Overdraft > MaxNano:
		return fmt.Errorf("overdraft %d: %w", q.Overdraft, ErrRange)
	case len(q.Record) > MaxRecord:
		return fmt.Errorf("a record of %d bytes: %w", len(q.Record), ErrRange)
	case q.HoldFor < time.Millisecond:
		return fmt.Errorf("hold for %v: %w", q.HoldFor, ErrRange)
	case q.MaxConcurrent < 0 || q.MaxConcurrent > MaxRate:
		return fmt.Errorf("%d running requests: %w", q.MaxConcurrent, ErrRange)
	case q.Cap != nil && (q.Cap.Amount < 0 || q.Cap.Amount > MaxNano || !isPeriod(q.Cap.Period)):
		return fmt.Errorf("cap of %d a %q: %w", q.Cap.Amount, q.Cap.Period, ErrRange)
	}
	for i, rate := range q.Rates {
		if err := rate.check(); err != nil {
			return err
		}
		for _, before := range q.Rates[:i] { // they are few
			if before.Unit == rate.Unit {
				return fmt.Errorf("%s twice: %w", rate.Unit, ErrRange)
			}
		}
	}
	return nil
}

func (r Rate) check() error {
	bad := r.Value < 1 || r.Value > MaxRate || r.Cost < 0
	switch r.Unit {
	case snapshot.RequestsPerMinute, snapshot.InputTokensPerMinute, snapshot.OutputTokensPerMinute:
		bad = bad || r.Burst < 1 || r.Burst > MaxRate
	case snapshot.RequestsPerDay:
	default:
		bad = true
	}
	if bad {
		return fmt.Errorf("%d %s, burst %d, cost %d: %w", r.Value, r.Unit, r.Burst, r.Cost, ErrRange)
	}
	return nil
}

func isPeriod(p string) bool { return p == "Day" || p == "Month" }

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
