package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// RevokeKey ends a key for good.
func (s *store) RevokeKey(ctx context.Context, digest string) (Key, error) {
	var k Key
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		has, err := s.lockKey(ctx, tx, digest)
		if k = has; err != nil || has.State == KeyRevoked {
			return err
		}
		want := has
		want.State = KeyRevoked
		k, err = s.updateKey(ctx, tx, has, want)
		return err
	})
	return k, wrap("revoking a key", err)
}

// CreateKey makes the row of a key that no object declares.
func (s *store) CreateKey(ctx context.Context, n NewKey) (Key, error) {
	want := Key{
		Digest: n.Digest, Prefix: n.Prefix, Name: n.Name, Account: n.Account, Tier: n.Tier, Policy: n.Policy, UserID: n.UserID,
		Scopes: n.Scopes, Models: n.Models, CapAmount: n.CapAmount, CapPeriod: n.CapPeriod, ExpiresAt: n.ExpiresAt,
		State: KeyActive, Source: n.Source, GatewayUID: n.GatewayUID,
	}
	if n.Source != SourceConsole && n.Source != SourceCLI {
		return Key{}, fmt.Errorf("creating a key of source %q: %w", n.Source, ErrOwned)
	}
	if err := checkKey(want); err != nil {
		return Key{}, err
	}
	var k Key
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		if err := s.openOwner(ctx, tx, want); err != nil {
			return err
		}
		k, err = s.insertSame(ctx, tx, want)
		return err
	})
	return k, wrap("creating a key", err)
}

// openOwner makes the account and the user that a key names, unless they are there.
func (s *store) openOwner(ctx context.Context, tx sqldb.Tx, k Key) error {
	if err := s.openAccount(ctx, tx, KeyUpsert{Key: k}); err != nil || k.UserID == "" {
		return err
	}
	_, err := tx.Exec(ctx, "INSERT INTO users (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", k.UserID, s.now().UnixMicro())
	return err
}

// insertSame inserts a row and answers it; ErrConflict if another one has its digest.
func (s *store) insertSame(ctx context.Context, tx sqldb.Tx, want Key) (Key, error) {
	if _, err := s.insertKey(ctx, tx, want); err != nil {
		return Key{}, err
	}
	k, err := oneKey(ctx, tx, "digest = $1", want.Digest)
	if err != nil {
		return Key{}, err
	}
	if want.ID, want.Version = k.ID, k.Version; !equal(want, k) {
		return Key{}, fmt.Errorf("key %s: %w", k.ID, ErrConflict)
	}
	return k, nil
}

// RotateKey makes a new key beside the one of digest, which expires after overlap.
func (s *store) RotateKey(ctx context.Context, digest, newDigest, newPrefix string, overlap time.Duration) (Key, Key, error) {
	if err := checkDigest(newDigest); err != nil {
		return Key{}, Key{}, err
	}
	if overlap < 0 {
		return Key{}, Key{}, fmt.Errorf("%w rotation: overlap %s", errInvalid, overlap)
	}
	var before, after Key
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		has, err := s.lockKey(ctx, tx, digest)
		if err != nil {
			return err
		}
		next, err := oneKey(ctx, tx, "rotated_from = $1", has.ID)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		case has.Owned():
			return fmt.Errorf("key %s of %s: %w", has.ID, has.ObjectName, ErrOwned)
		case err == nil && next.Digest == newDigest: // the same rotation again
			before, after = has, next
			return nil
		case err == nil:
			return fmt.Errorf("key %s was rotated to %s: %w", has.ID, next.ID, ErrConflict)
		case has.State == KeyRevoked:
			return fmt.Errorf("key %s was revoked: %w", has.ID, ErrConflict)
		case has.Expired(s.now()):
			return fmt.Errorf("key %s has expired: %w", has.ID, ErrConflict)
		}
		before, after, err = s.rotate(ctx, tx, has, newDigest, newPrefix, overlap)
		return err
	})
	if err != nil {
		return Key{}, Key{}, wrap("rotating a key", err)
	}
	return before, after, nil
}

// rotate makes the new row and lets the locked one expire.
func (s *store) rotate(ctx context.Context, tx sqldb.Tx, has Key, newDigest, newPrefix string, overlap time.Duration) (before, after Key, err error) {
	next := has
	next.Digest, next.Prefix, next.FirstDigest = newDigest, newPrefix, has.Meter()
	made, err := s.insertKey(ctx, tx, next)
	if err == nil && !made {
		err = fmt.Errorf("the new digest is another key's: %w", ErrConflict)
	}
	if err != nil {
		return Key{}, Key{}, err
	}
	if _, err := tx.Exec(ctx, "UPDATE api_keys SET rotated_from = $1 WHERE digest = $2", has.ID, newDigest); err != nil {
		return Key{}, Key{}, err
	}
	if after, err = oneKey(ctx, tx, "digest = $1", newDigest); err != nil {
		return Key{}, Key{}, err
	}
	old := has
	if ends := s.now().Add(overlap).UnixMicro(); old.ExpiresAt == 0 || ends < old.ExpiresAt {
		old.ExpiresAt = ends
	}
	before, err = s.updateKey(ctx, tx, has, old)
	return before, after, err
}

// outboxKeep is how long an item waits. No copy of a key is used for more than a minute after it was read, so by then an item
// says nothing new; those of a gateway that is gone would wait for ever.
const outboxKeep = 24 * time.Hour

// tell puts into the outbox that Redis of the key's gateway must hear of it, under its account, and clears what nobody came for.
func (s *store) tell(ctx context.Context, tx sqldb.Tx, k Key) error {
	now := s.now()
	if _, err := tx.Exec(ctx, "DELETE FROM outbox WHERE created_at < $1", now.Add(-outboxKeep).UnixMicro()); err != nil {
		return err
	}
	const sql = "INSERT INTO outbox (digest, account, gateway_uid, created_at) VALUES ($1, $2, $3, $4)"
	_, err := tx.Exec(ctx, sql, k.Digest, k.Account, k.GatewayUID, now.UnixMicro())
	return err
}

// PendingOutbox answers the oldest items. Those of keys that name no gateway are every gateway's.
func (s *store) PendingOutbox(ctx context.Context, gatewayUID string, limit int) ([]OutboxItem, error) {
	const sql = "SELECT id, digest, account, gateway_uid FROM outbox WHERE ($1 = '' OR gateway_uid = '' OR gateway_uid = $1) ORDER BY id LIMIT $2"
	var items []OutboxItem
	err := s.db.Each(ctx, sql, []any{gatewayUID, max(0, limit)}, func(scan func(...any) error) error {
		var i OutboxItem
		err := scan(&i.ID, &i.Digest, &i.Account, &i.GatewayUID)
		items = append(items, i)
		return err
	})
	return items, wrap("reading the outbox", err)
}

// DoneOutbox takes items away.
func (s *store) DoneOutbox(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if len(ids) > math.MaxUint16/2 {
		return fmt.Errorf("%w outbox: %d ids at once", errInvalid, len(ids))
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM outbox WHERE id IN "+placeholders(1, len(ids)), args...)
		return err
	})
	return wrap("clearing the outbox", err)
}
