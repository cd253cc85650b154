package limits

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func tier() *snapshot.Tier {
	return &snapshot.Tier{Name: "ns/free", UpgradeURL: "https://example.com", Limits: []snapshot.RateLimit{
		{Unit: snapshot.RequestsPerMinute, Value: 60, Burst: 90}, {Unit: snapshot.InputTokensPerMinute, Value: 1000, Burst: 1000},
		{Unit: snapshot.OutputTokensPerMinute, Value: 500, Burst: 500}, {Unit: snapshot.RequestsPerDay, Value: 7},
	}}
}

func TestRates(t *testing.T) {
	want := []admit.Rate{
		{Unit: snapshot.RequestsPerMinute, Value: 60, Burst: 90, Cost: 1}, {Unit: snapshot.InputTokensPerMinute, Value: 1000, Burst: 1000, Cost: 25},
		{Unit: snapshot.OutputTokensPerMinute, Value: 500, Burst: 500, Cost: 30}, {Unit: snapshot.RequestsPerDay, Value: 7, Cost: 1},
	}
	if d := cmp.Diff(want, Rates(tier(), NewEstimate(100, 1000, 10, 50, 3))); d != "" {
		t.Error(d)
	}
	for i := range want {
		want[i].Cost = 0
	}
	if d := cmp.Diff(want, Asking(tier())); d != "" {
		t.Error(d)
	}
	if Rates(nil, Estimate{}) != nil {
		t.Error("no tier has limits")
	}
}

func TestEstimate(t *testing.T) {
	for name, c := range map[string]struct {
		bytes, context, asked, most, choices int64
		want                                 Estimate
	}{
		"asked":            {400, 1000, 10, 5000, 1, Estimate{100, 10}},
		"rounded up":       {401, 1000, 10, 5000, 1, Estimate{101, 10}},
		"not asked":        {400, 1000, 0, 5000, 1, Estimate{100, DefaultOutputTokens}},
		"a terse model":    {400, 1000, 0, 100, 2, Estimate{100, 200}},
		"a short context":  {400, 50, 10, 100, 0, Estimate{50, 10}},
		"several choices":  {4, 50, 10, 100, 4, Estimate{1, 40}},
		"more than it can": {4, 50, 1000, 100, 1, Estimate{1, 100}},
	} {
		if got := NewEstimate(c.bytes, c.context, c.asked, c.most, c.choices); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestSetHeaders(t *testing.T) {
	now := time.Unix(1_800_000_000, 500_000_000)
	h := http.Header{}
	SetHeaders(h, admit.Decision{Now: now})
	if len(h) > 0 {
		t.Errorf("without limits: %v", h)
	}
	SetHeaders(h, admit.Decision{
		Now:      now,
		Requests: admit.Limit{Limit: 60, Remaining: 59, Reset: time.Second},
		Tokens:   admit.Limit{Limit: 1000, Remaining: 0, Reset: 6*time.Minute + 100*time.Microsecond},
	})
	want := map[string]string{
		"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59", "X-RateLimit-Reset": "1800000002",
		"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s",
		"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0.001s",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = h.Get(name)
	}
	if d := cmp.Diff(want, got); d != "" || len(h) != len(want) {
		t.Errorf("%s %v", d, h)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Second: "0s", time.Microsecond: "1ms", 12 * time.Millisecond: "12ms", time.Second: "1s", 6 * time.Minute: "6m0s", 25 * time.Hour: "25h0m0s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

const usd = 1_000_000_000

func TestRefusals(t *testing.T) {
	about := Subject{Tier: tier(), Key: "ns/key", Account: "ns/acme", Hold: usd, Least: usd, CreditsPerDollar: 100}
	shop := about
	shop.TopUpURL = "https://example.com/credits"
	cut := about
	cut.Least = usd / 10
	now := time.Unix(1_800_000_000, 0)
	rate := admit.Decision{Now: now, RetryAfter: 1500 * time.Millisecond, Refusal: admit.Refusal{Rule: "InputTokensPerMinute", Limit: 1000, Used: 990, Reset: 59 * time.Second}}
	slots := admit.Decision{Now: now, Refusal: admit.Refusal{Rule: "MaxConcurrentRequests", Limit: 4, Used: 4}}
	leases := slots
	leases.RetryAfter, leases.Refusal.Reset = 14*time.Minute, 15*time.Minute
	lease := leases
	lease.RetryAfter = 700 * time.Millisecond
	capped := admit.Decision{Now: now, Refusal: admit.Refusal{Rule: "SpendCap", Limit: 2 * usd, Used: 2*usd - 1, Reset: time.Hour}}
	poor := admit.Decision{Now: now, Spendable: usd / 2, Reserved: usd / 4, Refusal: admit.Refusal{Rule: "Credits"}}
	tied := admit.Decision{Now: now, Spendable: 2 * usd, Reserved: usd + 1, Refusal: admit.Refusal{Rule: "Credits"}}
	for name, c := range map[string]struct {
		e       *chat.Error
		status  int
		code    string
		after   time.Duration
		message string
		details string
	}{
		"rate":       {RateLimited(rate, about), 429, "rate_limit_exceeded", 1500 * time.Millisecond, "Rate limit exceeded: the tier 'ns/free' allows 1000 input tokens per minute for each API key. Please try again in 1.5s. More is at https://example.com .", `{"limit":1000,"object":"Tier ns/free","reset":1800000059,"rule":"InputTokensPerMinute","tier":"ns/free","upgrade_url":"https://example.com","used":990}`},
		"slots":      {TooManyConcurrent(slots, about), 429, "concurrency_limit_exceeded", time.Second, "Rate limit exceeded: the tier 'ns/free' allows 4 requests of each API key at once. Please try again when one of them has finished. More is at https://example.com .", `{"limit":4,"object":"Tier ns/free","rule":"MaxConcurrentRequests","tier":"ns/free","upgrade_url":"https://example.com","used":4}`},
		"leases":     {TooManyConcurrent(leases, about), 429, "concurrency_limit_exceeded", 2 * time.Second, "Rate limit exceeded: the tier 'ns/free' allows 4 requests of each API key at once. Please try again when one of them has finished. More is at https://example.com .", `{"limit":4,"object":"Tier ns/free","reset":1800000900,"rule":"MaxConcurrentRequests","tier":"ns/free","upgrade_url":"https://example.com","used":4}`},
		"a lease":    {TooManyConcurrent(lease, about), 429, "concurrency_limit_exceeded", 700 * time.Millisecond, "Rate limit exceeded: the tier 'ns/free' allows 4 requests of each API key at once. Please try again when one of them has finished. More is at https://example.com .", `{"limit":4,"object":"Tier ns/free","reset":1800000900,"rule":"MaxConcurrentRequests","tier":"ns/free","upgrade_url":"https://example.com","used":4}`},
		"cap":        {CapReached(capped, about, 2*usd-1), 402, "spend_cap_reached", 0, "Insufficient credits: this request may need up to 100 credits, and this API key has spent 199.9999999 of its spend cap of 200. Ask for fewer tokens (max_tokens), or raise the cap.", `{"limit":{"credits":"200","usd":"2"},"object":"APIKey ns/key","required":{"credits":"100","usd":"1"},"reserved":{"credits":"0","usd":"0"},"reset":1800003600,"rule":"SpendCap","used":{"credits":"199.9999999","usd":"1.999999999"},"worst_case":{"credits":"100","usd":"1"}}`},
		"cap held":   {CapReached(capped, about, usd), 429, "credits_reserved", time.Second, "Credits are reserved by running requests: this one may need up to 100 credits, and the spend cap of 200 credits of this API key has no room while they run. Please try again when they have finished.", `{"limit":{"credits":"200","usd":"2"},"object":"APIKey ns/key","required":{"credits":"100","usd":"1"},"reserved":{"credits":"99.9999999","usd":"0.999999999"},"reset":1800003600,"rule":"SpendCap","used":{"credits":"100","usd":"1"},"worst_case":{"credits":"100","usd":"1"}}`},
		"credits":    {Credits(poor, about, 12), 402, "insufficient_credits", 0, "Insufficient credits: this request may need up to 100 credits and the balance is 50. Ask for at most 12 tokens (max_tokens) or add credits.", `{"affordable_max_tokens":12,"available":{"credits":"25","usd":"0.25"},"balance":{"credits":"50","usd":"0.5"},"limit":{"credits":"50","usd":"0.5"},"object":"Account ns/acme","required":{"credits":"100","usd":"1"},"reserved":{"credits":"25","usd":"0.25"},"rule":"Credits","used":{"credits":"25","usd":"0.25"},"worst_case":{"credits":"100","usd":"1"}}`},
		"shop":       {Credits(poor, shop, 12), 402, "insufficient_credits", 0, "Insufficient credits: this request may need up to 100 credits and the balance is 50. Ask for at most 12 tokens (max_tokens) or add credits. More are at https://example.com/credits .", `{"affordable_max_tokens":12,"available":{"credits":"25","usd":"0.25"},"balance":{"credits":"50","usd":"0.5"},"limit":{"credits":"50","usd":"0.5"},"object":"Account ns/acme","required":{"credits":"100","usd":"1"},"reserved":{"credits":"25","usd":"0.25"},"rule":"Credits","top_up_url":"https://example.com/credits","used":{"credits":"25","usd":"0.25"},"worst_case":{"credits":"100","usd":"1"}}`},
		"cut":        {Credits(admit.Decision{Now: now, Spendable: usd / 20, Reserved: 0, Refusal: admit.Refusal{Rule: "Credits"}}, cut, 0), 402, "insufficient_credits", 0, "Insufficient credits: this request needs at least 10 credits and the balance is 5. Add credits.", `{"affordable_max_tokens":0,"available":{"credits":"5","usd":"0.05"},"balance":{"credits":"5","usd":"0.05"},"limit":{"credits":"5","usd":"0.05"},"object":"Account ns/acme","required":{"credits":"10","usd":"0.1"},"reserved":{"credits":"0","usd":"0"},"rule":"Credits","used":{"credits":"0","usd":"0"},"worst_case":{"credits":"100","usd":"1"}}`},
		"cut, tied":  {Credits(admit.Decision{Now: now, Spendable: usd / 10, Reserved: 1, Refusal: admit.Refusal{Rule: "Credits"}}, cut, 3), 429, "credits_reserved", time.Second, "Credits are reserved by running requests: this one needs at least 10 credits, 0.0000001 of the balance of 10 are reserved. Please try again when they have finished.", `{"affordable_max_tokens":3,"available":{"credits":"9.9999999","usd":"0.099999999"},"balance":{"credits":"10","usd":"0.1"},"limit":{"credits":"10","usd":"0.1"},"object":"Account ns/acme","required":{"credits":"10","usd":"0.1"},"reserved":{"credits":"0.0000001","usd":"0.000000001"},"rule":"Credits","used":{"credits":"0.0000001","usd":"0.000000001"},"worst_case":{"credits":"100","usd":"1"}}`},
		"reserved":   {Credits(tied, about, 12), 429, "credits_reserved", time.Second, "Credits are reserved by running requests: this one may need up to 100 credits, 100.0000001 of the balance of 200 are reserved. Please try again when they have finished.", `{"affordable_max_tokens":12,"available":{"credits":"99.9999999","usd":"0.999999999"},"balance":{"credits":"200","usd":"2"},"limit":{"credits":"200","usd":"2"},"object":"Account ns/acme","required":{"credits":"100","usd":"1"},"reserved":{"credits":"100.0000001","usd":"1.000000001"},"rule":"Credits","used":{"credits":"100.0000001","usd":"1.000000001"},"worst_case":{"credits":"100","usd":"1"}}`},
		"shop, tied": {Credits(tied, shop, 12), 429, "credits_reserved", time.Second, "Credits are reserved by running requests: this one may need up to 100 credits, 100.0000001 of the balance of 200 are reserved. Please try again when they have finished.", `{"affordable_max_tokens":12,"available":{"credits":"99.9999999","usd":"0.999999999"},"balance":{"credits":"200","usd":"2"},"limit":{"credits":"200","usd":"2"},"object":"Account ns/acme","required":{"credits":"100","usd":"1"},"reserved":{"credits":"100.0000001","usd":"1.000000001"},"rule":"Credits","used":{"credits":"100.0000001","usd":"1.000000001"},"worst_case":{"credits":"100","usd":"1"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			details, err := json.Marshal(c.e.Details)
			if err != nil {
				t.Fatal(err)
			}
			got := []any{c.e.Status, c.e.Code, c.e.RetryAfter, c.e.Message, string(details)}
			if d := cmp.Diff([]any{c.status, c.code, c.after, c.message, c.details}, got); d != "" {
				t.Error(d)
			}
		})
	}
}
