package server

import (
	"context"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// steep sells the first model at ten times its prices above 50 tokens of input, a half dearer to the tier "dear", and for a
// tenth to us at its first backend.
func steep(_ *Options, s *snapshot.Snapshot) {
	price := *s.Models[0].Price
	price.Steps = []snapshot.PriceStep{{AboveInput: 50, InputPerMillion: 10 * price.InputPerMillion, OutputPerMillion: 10 * price.OutputPerMillion}}
	s.Models[0].Price = &price
	s.Models[0].Backends = s.Models[0].Backends[:1]
	s.Models[0].Backends[0].Price = &snapshot.Price{InputPerMillion: price.InputPerMillion / 10, OutputPerMillion: price.OutputPerMillion / 10}
	s.Tiers = append(s.Tiers, snapshot.Tier{Name: "ns/dear", MaxBodyBytes: 1 << 20, Markup: &snapshot.Ratio{Num: 15, Den: 10}})
}

// The hold covers the dearest step that the input may reach, with the markup; the charge is of the step that it reached; what
// the provider asks is its own price.
func TestStepsAreHeldForAndCharged(t *testing.T) {
	const body = `{"model":"good","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`
	for name, c := range map[string]struct {
		tier string
		num  int64 // of the markup, in halves
	}{"no markup": {"", 2}, "markup": {"ns/dear", 3}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, steep)
			w.key(goodKey, 100*usd, func(k *ledger.Key) { k.Tier = c.tier })
			hold := (int64(len(body))*10_000_000 + 10*20_000_000) * c.num / 2
			if e := w.estimates(body); e.Hold["usd"] != pricing.FormatUSD(hold) || len(e.Price.Steps) != 1 || (e.Price.Markup == "1.5") != (c.num == 3) {
				t.Errorf("estimate %+v, want a hold of %s", e, pricing.FormatUSD(hold))
			}
			for _, u := range []struct {
				usage pricing.Usage
				list  pricing.Nano
			}{
				{pricing.Usage{Input: 50, Output: 10}, 50*1_000_000 + 10*2_000_000},
				{pricing.Usage{Input: 40, CacheRead: 11, Output: 10}, 51*10_000_000 + 10*20_000_000},
			} {
				before := w.balance()
				w.serve(func(context.Context, chat.Call) (*chat.Response, error) {
					if got := w.reserved(); got != hold {
						t.Errorf("%d are held, want %d", got, hold)
					}
					usage := u.usage
					return &chat.Response{Body: []byte(`{"usage":{}}`), OutputBytes: 1, Usage: &usage}, nil
				})
				got := w.chat(body)
				if spent := before - w.balance(); got.status != 200 || spent != u.list*c.num/2 {
					t.Errorf("%d, charged %d, want %d", got.status, spent, u.list*c.num/2)
				}
				r, err := w.books.Receipt(t.Context(), account, got.header.Get("X-Layers-Request-Id"))
				total, sumErr := pricing.LinesTotal(r.Lines)
				asked := (u.usage.Input + u.usage.CacheRead + 2*u.usage.Output) * 100_000
				if err != nil || sumErr != nil || r.ProviderCost != asked || total != r.Cost || r.Cost != r.Charged {
					t.Errorf("the row says %d, its lines %d, the provider asks %d, want %d; %v %v", r.Cost, total, r.ProviderCost, asked, err, sumErr)
				}
			}
			w.sound()
			models := w.do("GET", "/v1/models/good", goodKey, "").body
			if !strings.Contains(models, `"above_input_tokens":50`) || strings.Contains(models, `"markup":1.5`) != (c.num == 3) {
				t.Errorf("the model says %s", models)
			}
		})
	}
}
