package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// purged bounds how many old claims one Claim takes away.
const purged = 20

// Claim gives a name to whoever comes first. The row is locked from the first statement on, so that the second one reads
// what the first one found.
func (s *store) Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (holder string, err error) {
	if err := checkClaim(account, name, requestID); err != nil {
		return "", err
	}
	if keep <= 0 {
		return "", fmt.Errorf("%w claim for %v", errInvalid, keep)
	}
	err = s.db.Write(ctx, func(tx sqldb.Tx) error {
		now := s.now()
		const claim = "INSERT INTO claims (account, name, request_id, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT (account, name) DO UPDATE " +
			"SET request_id = excluded.request_id, expires_at = excluded.expires_at WHERE claims.expires_at <= $5"
		if _, err := tx.Exec(ctx, claim, account, name, requestID, now.Add(keep).UnixMicro(), now.UnixMicro()); err != nil {
			return err
		}
		const has = "SELECT request_id FROM claims WHERE account = $1 AND name = $2"
		err := tx.Each(ctx, has, []any{account, name}, func(scan func(...any) error) error { return scan(&holder) })
		if err != nil {
			return err
		}
		purge := "DELETE FROM claims WHERE (account, name) IN (SELECT account, name FROM claims WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2" + s.db.SkipLocked() + ")"
		_, err = tx.Exec(ctx, purge, now.UnixMicro(), purged)
		return err
	})
	return holder, wrap("claiming", err)
}

// GiveUp gives up a claim.
func (s *store) GiveUp(ctx context.Context, account, name, requestID string) error {
	if err := checkClaim(account, name, requestID); err != nil {
		return err
	}
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM claims WHERE account = $1 AND name = $2 AND request_id = $3", account, name, requestID)
		return err
	})
	return wrap("giving up a claim", err)
}

// maxName bounds, in bytes, the names that callers choose.
const maxName = 512

func checkClaim(account, name, requestID string) error {
	if name == "" || len(name) > maxName || requestID == "" || len(requestID) > maxText {
		return fmt.Errorf("%w claim of %.40q by %.40q", errInvalid, name, requestID)
	}
	return checkAccount(account)
}
