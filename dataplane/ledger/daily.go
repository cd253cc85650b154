package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// secondsPerDay is how long a day (UTC) is.
const secondsPerDay = 86_400

// Daily is what an account used on a day (UTC), by when the requests finished.
type Daily struct {
	Day                             int64 // its beginning, Unix seconds
	Account, KeyID, Model, Provider string
	Requests                        int64
	InputTokens, OutputTokens       int64 // Input has cached and cache writing tokens, too
	Cost, Charged, ProviderCost     pricing.Nano
}

// rolled is what a settlement adds to the roll-ups: its Charged, Cost, ProviderCost and its tokens.
type rolled struct {
	Settlement

	requests, input, output int64
}

// whole is all of a settlement.
func whole(e Settlement) rolled {
	u := e.Usage
	return rolled{e, 1, u.Input + u.CacheRead + u.CacheWrite + u.CacheWrite1h, u.Output}
}

// difference is what is added where a settlement takes the place of what was counted before, under the same day, key and model.
func difference(e, was Settlement) rolled {
	now, before := whole(e), whole(was)
	d := rolled{was, 0, now.input - before.input, now.output - before.output}
	d.Charged, d.Cost, d.ProviderCost = e.Charged-was.Charged, e.Cost-was.Cost, e.ProviderCost-was.ProviderCost
	return d
}

// dailyKey is the primary key of usage_daily.
type dailyKey struct {
	account              string
	day                  int64
	key, model, provider string
}

func (r rolled) daily() dailyKey {
	return dailyKey{r.Account, r.FinishedAt / 1_000_000 / secondsPerDay * secondsPerDay, r.KeyID, r.Model, r.Provider}
}

func compareDaily(a, b dailyKey) int {
	return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.day, b.day), cmp.Compare(a.key, b.key), cmp.Compare(a.model, b.model), cmp.Compare(a.provider, b.provider))
}

// rollDaily adds to usage_daily. The accounts are locked, so that nobody else adds to these rows meanwhile.
func (b *book) rollDaily(rows []rolled) []sqldb.Statement {
	add := map[dailyKey]Daily{}
	for _, r := range rows {
		k := r.daily()
		d := add[k]
		d.Requests, d.InputTokens, d.OutputTokens = d.Requests+r.requests, d.InputTokens+r.input, d.OutputTokens+r.output
		d.Cost, d.Charged, d.ProviderCost = d.Cost+r.Cost, d.Charged+r.Charged, d.ProviderCost+r.ProviderCost
		add[k] = d
	}
	const columns = "requests, input_tokens, output_tokens, cost, charged, provider_cost"
	var set []string
	for _, c := range strings.Split(columns, ", ") {
		set = append(set, fmt.Sprintf("%s = usage_daily.%s + excluded.%s", c, c, c))
	}
	var into [][]any
	for _, k := range slices.SortedFunc(maps.Keys(add), compareDaily) {
		d := add[k]
		into = append(into, []any{k.account, k.day, k.key, k.model, k.provider, d.Requests, d.InputTokens, d.OutputTokens, d.Cost, d.Charged, d.ProviderCost})
	}
	return insert(b.tx, "usage_daily (account, day, key_id, model, provider, "+columns+")", into,
		"ON CONFLICT (account, day, key_id, model, provider) DO UPDATE SET "+strings.Join(set, ", "), nil)
}

// DailyUsage answers what an account used.
func (s *store) DailyUsage(ctx context.Context, account string, from, to int64) ([]Daily, error) {
	var out []Daily
	const sql = "SELECT day, account, key_id, model, provider, requests, input_tokens, output_tokens, cost, charged, provider_cost FROM usage_daily " +
		"WHERE account = $1 AND day >= $2 AND day < $3 ORDER BY day, key_id, model, provider"
	err := s.db.Each(ctx, sql, []any{account, from, to}, func(scan func(...any) error) error {
		var d Daily
		err := scan(&d.Day, &d.Account, &d.KeyID, &d.Model, &d.Provider, &d.Requests, &d.InputTokens, &d.OutputTokens, &d.Cost, &d.Charged, &d.ProviderCost)
		out = append(out, d)
		return err
	})
	return out, wrap("reading daily usage", err)
}
