package ledger

import (
	"context"
	"fmt"
)

// recentOf is how many of an account's last requests RecentOutput looks at.
const recentOf = 2000

// RecentOutput reads what answers took. It reads the account's rows, which have an index by time, and no more than a few
// of them: an index for each key and model would cost every settlement.
func (s *store) RecentOutput(ctx context.Context, keyDigest, model string, most int) ([]int64, error) {
	if err := checkDigest(keyDigest); err != nil {
		return nil, err
	}
	if most < 1 || most > recentOf {
		return nil, fmt.Errorf("%w number of answers: %d", errInvalid, most)
	}
	const sql = "SELECT r.output_tokens FROM (SELECT u.key_id, u.model, u.evidence, u.output_tokens, u.finished_at, u.request_id FROM usage_logs u " +
		"WHERE u.account = (SELECT account FROM api_keys WHERE digest = $1) ORDER BY u.finished_at DESC LIMIT $2) r " +
		"WHERE r.key_id = (SELECT id FROM api_keys WHERE digest = $1) AND r.model = $3 AND r.evidence IN ('reported', 'estimated') " +
		"ORDER BY r.finished_at DESC, r.request_id LIMIT $4"
	var out []int64
	err := s.db.Each(ctx, sql, []any{keyDigest, recentOf, model, most}, func(scan func(...any) error) error {
		var n int64
		err := scan(&n)
		out = append(out, n)
		return err
	})
	return out, wrap("reading what answers took", err)
}
