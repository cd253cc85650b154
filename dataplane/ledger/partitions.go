package ledger

import (
	"context"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// MonthsAhead is how many months of usage_logs Migrate makes, the present one among them.
const MonthsAhead = 13

// MakePartitions makes months ahead. What finds no month is kept in a default partition, and moves when its month is made.
func (s *store) MakePartitions(ctx context.Context, months int) (int, error) {
	if !s.db.Partitions() {
		return 0, nil
	}
	if months < 1 || months > 120 {
		return 0, fmt.Errorf("%w partitions of %d months", errInvalid, months)
	}
	var made int
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		return tx.Each(ctx, "SELECT layers_usage_partitions($1, $2)", []any{s.now().UnixMicro(), months}, func(scan func(...any) error) error {
			return scan(&made)
		})
	})
	return made, wrap("making partitions", err)
}
