package admit

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

var outcomes = map[string]Outcome{
	"admitted": Admitted, "reload-key": ReloadKey, "key-refused": KeyRefused, "account-suspended": AccountSuspended, "rate-limited": RateLimited,
	"too-many-concurrent": TooManyConcurrent, "reload-account": ReloadAccount, "reload-cap": ReloadCap,
	"cap-reached": CapReached, "insufficient-credits": InsufficientCredits,
	"ledger-away": LedgerAway, "unknown-hold": UnknownHold, "join": join,
}

// replyWords is how many words a reply of admit.lua has before those of the rates, six for each.
const replyWords = 12

// parseDecision reads admit.lua's reply, or extend.lua's.
func parseDecision(text string) (Decision, error) {
	words := strings.Split(text, ",")
	name, would := strings.CutPrefix(words[0], "would-")
	outcome, ok := outcomes[name]
	if !ok || len(words) < replyWords || (len(words)-replyWords)%6 != 0 {
		return Decision{}, fmt.Errorf("admit.lua answered %q", text)
	}
	p := parser{words: words}
	d := Decision{
		Outcome: outcome, RetryAfter: p.micros(1), Now: time.UnixMicro(p.int(2)).UTC(),
		Spendable: p.int(3), Reserved: p.int(4), Window: p.int(5), Held: p.int(10),
	}
	if d.Fits = max(0, d.Available()); words[11] != "-" {
		d.Fits = p.int(11)
	}
	if would {
		d.Outcome, d.Would = Admitted, outcome
	}
	if rule := words[6]; rule != "-" {
		d.Refusal = Refusal{Rule: rule, Limit: p.int(7), Used: p.int(8), Reset: p.micros(9)}
	}
	for i := replyWords; i < len(words); i += 6 {
		unit := snapshot.Unit(words[i])
		l, owed := measured(unit, p.int(i+1), p.int(i+2), p.int(i+4), p.int(i+5))
		switch unit {
		case snapshot.RequestsPerMinute, snapshot.RequestsPerDay:
			d.Requests = tighter(d.Requests, l)
		default:
			d.Tokens = tighter(d.Tokens, l)
		}
		if d.Refusal.Rule == words[i] {
			d.Refusal = Refusal{Rule: words[i], Limit: l.Limit, Used: max(l.Limit-l.Remaining, owed), Reset: l.Reset}
		}
	}
	if p.err != nil {
		return Decision{}, fmt.Errorf("admit.lua answered %q: %w", text, p.err)
	}
	return d, nil
}

// parser reads integers among words and keeps the first error.
type parser struct {
	words []string
	err   error
}

func (p *parser) int(i int) int64 {
	n, err := strconv.ParseInt(p.words[i], 10, 64)
	if err != nil && p.err == nil {
		p.err = err
	}
	return n
}

func (p *parser) micros(i int) time.Duration {
	return micros(p.int(i))
}

// minutePS is a minute in picoseconds.
const minutePS = int64(time.Minute/time.Microsecond) * 1_000_000

// foreverPS is what the scripts count as for ever: 4e15 us, in picoseconds.
var foreverPS = new(big.Int).Mul(big.NewInt(4_000_000_000_000_000), big.NewInt(1_000_000))

// interval is how long one of value a minute takes, in picoseconds, rounded up: never more than the limit.
func interval(value int64) int64 { return (minutePS + value - 1) / value }

// measured answers the numbers of a rate from what the script says: a bucket's debt in us and ps, or a day's count and
// how long it lasts in us; and what is used, which a burst above the value hides from Remaining.
func measured(unit snapshot.Unit, value, burst, us, ps int64) (l Limit, used int64) {
	if unit == snapshot.RequestsPerDay {
		return Limit{Limit: value, Remaining: max(0, value-us), Reset: micros(ps)}, us
	}
	if value < 1 {
		return Limit{}, 0 // the reply is broken, and refused as such
	}
	one := big.NewInt(interval(value))
	debt := new(big.Int).Mul(big.NewInt(us), big.NewInt(1_000_000))
	debt.Add(debt, big.NewInt(ps))
	room := new(big.Int).Mul(one, big.NewInt(burst))
	if room.Cmp(foreverPS) > 0 {
		room.Set(foreverPS)
	}
	left := int64(0)
	if room.Sub(room, debt).Sign() > 0 {
		left = min(value, room.Div(room, one).Int64())
	}
	used = debt.Add(debt, one).Sub(debt, big.NewInt(1)).Div(debt, one).Int64()
	if ps > 0 {
		us++
	}
	return Limit{Limit: value, Remaining: left, Reset: micros(us)}, used
}

// micros is a span of the scripts; the longest that a Duration has where that is shorter.
func micros(us int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Microsecond)
	return time.Duration(min(us, most)) * time.Microsecond
}

// tighter is the limit with the least remaining; of two with the same, the one that is there again later.
func tighter(a, b Limit) Limit {
	if a.Limit == 0 || b.Limit > 0 && (b.Remaining < a.Remaining || b.Remaining == a.Remaining && b.Reset > a.Reset) {
		return b
	}
	return a
}
