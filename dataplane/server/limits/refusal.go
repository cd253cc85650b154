package limits

import (
	"fmt"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Types of these errors, as OpenAI names them.
const (
	typeRate  = "rate_limit_error"
	typeQuota = "insufficient_quota"
)

// retrySoon is when to come back where the script gives no time.
const retrySoon = time.Second

// retrySlot bounds when to come back for a slot. The script says when the first lease ends by itself, minutes away; its
// request nearly always ends before, and clients sleep for as long as they are told.
const retrySlot = 2 * time.Second

// Subject is whom a refusal is about.
type Subject struct {
	// Tier is the key's; nil: none.
	Tier *snapshot.Tier
	// Key and Account are names for people: "namespace/name".
	Key, Account string
	// Hold is what the request may need at most, Least what would have admitted it: the same, or what an answer needs that is
	// cut to the least that is of use. CreditsPerDollar says what a credit is.
	Hold, Least      pricing.Nano
	CreditsPerDollar int64
	// TopUpURL is where to get more credits; may be empty.
	TopUpURL string
}

// phrases are the rules in words, behind "the tier X allows N".
var phrases = map[string]string{
	string(snapshot.RequestsPerMinute):     "requests per minute",
	string(snapshot.InputTokensPerMinute):  "input tokens per minute",
	string(snapshot.OutputTokensPerMinute): "output tokens per minute",
	string(snapshot.RequestsPerDay):        "requests per day",
}

// RateLimited is the 429 of a rate limit: it comes back to life at RetryAfter, to the millisecond.
func RateLimited(d admit.Decision, s Subject) *chat.Error {
	what := phrases[d.Refusal.Rule]
	if what == "" {
		what = d.Refusal.Rule
	}
	e := tooMany(d, s, "rate_limit_exceeded")
	e.Message = fmt.Sprintf("Rate limit exceeded: the tier '%s' allows %d %s for each API key. Please try again in %s.%s",
		s.tier(), d.Refusal.Limit, what, ceilMillis(e.RetryAfter), s.upgrade())
	return e
}

// TooManyConcurrent is the 429 of a limit of requests at once. Nobody knows when one of them ends, so it says soon, or when
// the first lease ends, if that is sooner.
func TooManyConcurrent(d admit.Decision, s Subject) *chat.Error {
	e := tooMany(d, s, "concurrency_limit_exceeded")
	e.RetryAfter = min(e.RetryAfter, retrySlot)
	e.Message = fmt.Sprintf("Rate limit exceeded: the tier '%s' allows %d requests of each API key at once. Please try again when one of them has finished.%s",
		s.tier(), d.Refusal.Limit, s.upgrade())
	return e
}

func tooMany(d admit.Decision, s Subject, code string) *chat.Error {
	after := d.RetryAfter
	if after <= 0 {
		after = retrySoon
	}
	details := map[string]any{
		"object": "Tier " + s.tier(), "tier": s.tier(), "rule": d.Refusal.Rule,
		"limit": d.Refusal.Limit, "used": d.Refusal.Used,
	}
	if d.Refusal.Reset > 0 {
		details["reset"] = At(d, d.Refusal.Reset)
	}
	if s.Tier != nil && s.Tier.UpgradeURL != "" {
		details["upgrade_url"] = s.Tier.UpgradeURL
	}
	return &chat.Error{Status: http.StatusTooManyRequests, Type: typeRate, Code: code, RetryAfter: after, Details: details}
}

func (s Subject) tier() string {
	if s.Tier == nil {
		return ""
	}
	return s.Tier.Name
}

// upgrade is where to get more, as a sentence.
func (s Subject) upgrade() string {
	if s.Tier == nil || s.Tier.UpgradeURL == "" {
		return ""
	}
	return " More is at " + s.Tier.UpgradeURL + " ."
}

// CapReached refuses for a key's own spend cap. spent is what the ledger says that it has spent in the window. What only
// running requests reserve is given back in a moment: 429, which clients try again. What is spent is spent until the window
// ends, in hours or weeks: 402, which clients show to people, where after a 429 they would sleep on Retry-After for days.
func CapReached(d admit.Decision, s Subject, spent pricing.Nano) *chat.Error {
	limit := d.Refusal.Limit
	details := map[string]any{
		"object": "APIKey " + s.Key, "rule": d.Refusal.Rule, "limit": s.amount(limit), "used": s.amount(spent),
		"reserved": s.amount(max(d.Refusal.Used-spent, 0)), "required": s.amount(s.Least), "worst_case": s.amount(s.Hold),
	}
	if d.Refusal.Reset > 0 {
		details["reset"] = At(d, d.Refusal.Reset)
	}
	if spent+s.Least <= limit {
		return &chat.Error{
			Status: http.StatusTooManyRequests, Type: typeRate, Code: codeReserved, RetryAfter: retrySoon, Details: details,
			Message: fmt.Sprintf("Credits are reserved by running requests: this one %s, and the spend cap of %s credits of this API key has no room while they run. Please try again when they have finished.",
				s.needs(), s.credits(limit)),
		}
	}
	return &chat.Error{
		Status: http.StatusPaymentRequired, Type: typeQuota, Code: "spend_cap_reached", Details: details,
		Message: fmt.Sprintf("Insufficient credits: this request %s, and this API key has spent %s of its spend cap of %s. Ask for fewer tokens (max_tokens), or raise the cap.",
			s.needs(), s.credits(spent), s.credits(limit)),
	}
}

// codeReserved is of refusals that pass when running requests end.
const codeReserved = "credits_reserved"

// Credits refuses for the account's balance: 429 where running requests reserve what is missing, else 402. affordable is how
// many tokens of output may be asked for so that what is available pays for all.
func Credits(d admit.Decision, s Subject, affordable int64) *chat.Error {
	details := map[string]any{
		"object": "Account " + s.Account, "rule": d.Refusal.Rule, "limit": s.amount(d.Spendable), "used": s.amount(d.Reserved),
		"required": s.amount(s.Least), "worst_case": s.amount(s.Hold),
		"available": s.amount(d.Available()), "balance": s.amount(d.Spendable), "reserved": s.amount(d.Reserved), "affordable_max_tokens": affordable,
	}
	if d.TiedUp(s.Least) {
		return &chat.Error{
			Status: http.StatusTooManyRequests, Type: typeRate, Code: codeReserved, RetryAfter: retrySoon, Details: details,
			Message: fmt.Sprintf("Credits are reserved by running requests: this one %s, %s of the balance of %s are reserved. Please try again when they have finished.",
				s.needs(), s.credits(d.Reserved), s.credits(d.Spendable)),
		}
	}
	if s.TopUpURL != "" {
		details["top_up_url"] = s.TopUpURL
	}
	return &chat.Error{
		Status: http.StatusPaymentRequired, Type: typeQuota, Code: "insufficient_credits", Details: details,
		Message: fmt.Sprintf("Insufficient credits: this request %s and the balance is %s. %s.%s", s.needs(), s.credits(d.Spendable), helps(affordable), s.topUp()),
	}
}

// topUp is where to get more credits, as a sentence.
func (s Subject) topUp() string {
	if s.TopUpURL == "" {
		return ""
	}
	return " More are at " + s.TopUpURL + " ."
}

// helps is what makes a request pass that so many tokens of output would be affordable for.
func helps(affordable int64) string {
	if affordable <= 0 {
		return "Add credits"
	}
	return fmt.Sprintf("Ask for at most %d tokens (max_tokens) or add credits", affordable)
}

// needs is what the request asks of a balance, in words.
func (s Subject) needs() string {
	if s.Least < s.Hold {
		return "needs at least " + s.credits(s.Least) + " credits"
	}
	return "may need up to " + s.credits(s.Hold) + " credits"
}

func (s Subject) credits(n pricing.Nano) string { return pricing.FormatCredits(n, s.CreditsPerDollar) }

// amount is money in credits and in USD, as decimal strings.
func (s Subject) amount(n pricing.Nano) map[string]string {
	return Amount(n, s.CreditsPerDollar)
}

// Amount is money as the API writes it: in credits and in USD, as decimal strings.
func Amount(n pricing.Nano, perDollar int64) map[string]string {
	return map[string]string{"credits": pricing.FormatCredits(n, perDollar), "usd": pricing.FormatUSD(n)}
}
