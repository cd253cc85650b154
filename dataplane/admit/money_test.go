package admit

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

// Near the limit every digit counts, on a real server too, where Lua's own text of a number has only 14 of them.
func TestDigitsNearTheLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		const odd = MaxNano - 6 // 8999999999999994
		s.load(odd)
		q := request(4_999_999_999_999_993)
		d := s.want(q, Admitted)
		same(t, "spendable", d.Spendable, odd)
		same(t, "the stored decision", s.want(q, Admitted), d)
		s.want(request(odd-q.Hold+1), InsufficientCredits)
		rest := request(odd - q.Hold - 1)
		d = s.want(rest, Admitted)
		same(t, "reserved", d.Reserved, q.Hold)
		said, counted := s.sum("ns/acme")
		same(t, "sum", []string{said, counted}, []string{"8999999999999993", "8999999999999993"})
		s.want(request(2), InsufficientCredits)
		s.want(request(1), Admitted)
		must(t, s.Release(ctx, "ns/acme", rest.ID))
		said, counted = s.sum("ns/acme")
		same(t, "sum after a release", []string{said, counted}, []string{"4999999999999994", "4999999999999994"})
		must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: -MaxNano, Version: MaxNano}))
		d = s.want(request(0), InsufficientCredits)
		same(t, "debt", d.Spendable, -MaxNano)
	})
}

// loses finds the ways in which Lua turns a number into fewer digits than it has.
var loses = regexp.MustCompile(`tostring|cjson|cmsgpack|%[a-eg-rt-zA-Z]|%s?\.[1-9]|\.\.`)

func lint(script string) (found []string) {
	for line := range strings.Lines(script) {
		code, _, _ := strings.Cut(line, "--")
		if loses.MatchString(code) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestScriptsKeepDigits(t *testing.T) {
	for name, script := range map[string]string{
		"hold.lua": holdLua, "rare.lua": rareLua, "holds.lua": holdsLua, "rates.lua": ratesLua, "claim.lua": claimLua, "giveup.lua": giveUpLua, "span.lua": spanLua, "calendar.lua": calendarLua, "admit.lua": admitLua, "finish.lua": finishLua,
		"account.lua": accountLua, "key.lua": keyLua, "epoch.lua": epochLua, "extend.lua": extendLua, "sync.lua": syncLua,
		"lease.lua": leaseLua, "dead.lua": deadLua, "live.lua": liveLua, "list.lua": listLua, "leave.lua": leaveLua,
	} {
		if found := lint(script); found != nil {
			t.Errorf("%s makes text of numbers other than by %%.0f: %q", name, found)
		}
		for _, command := range regexp.MustCompile(`redis\.call\('(?:SET|HSET|ZADD)'.*`).FindAllString(script, -1) {
			command = strings.ReplaceAll(command, "'%.0f', ", "")
			if bare := regexp.MustCompile(`, (sum|amount|hold|now|tat|reserved|freed|spendable)\b`).FindString(command); bare != "" {
				t.Errorf("%s writes %q as Lua's own text: %s", name, bare[2:], command)
			}
		}
	}
	for _, bad := range []string{"redis.call('SET', k, tostring(sum))", "x = sum .. ''", "cjson.encode(sum)", "string.format('%d', sum)", "string.format('%.3f', sum)"} {
		if lint(bad) == nil {
			t.Errorf("the lint does not see %q", bad)
		}
	}
}

// One account beyond the range never keeps the others' holds, nor its own: its copy stops at the bound.
func TestBalanceBeyondTheRange(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		q, other := request(60), request(1)
		s.want(q, Admitted)
		must(t, s.Confirm(ctx, []Confirmation{
			{RequestID: other.ID, Account: "ns/deep", Balance: -3 * MaxNano, Version: 2},
			{RequestID: q.ID, Account: "ns/acme", Balance: 40, Version: 2},
		}))
		d := s.want(request(41), InsufficientCredits)
		same(t, "numbers", []int64{d.Spendable, d.Reserved}, []int64{40, 0})
		for version, c := range [][2]int64{{-3 * MaxNano, -MaxNano}, {3 * MaxNano, MaxNano}} {
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: c[0], Version: int64(version + 3)}))
			stored, err := s.raw("HGET", accountKey("ns/acme"), "b").ToString()
			must(t, err)
			same(t, "stored", stored, decimal(c[1]))
			if c[1] < 0 {
				s.want(request(0), InsufficientCredits)
			}
		}
	})
}
