package ledger

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// keyColumns are the columns of a Key, in the order of scanKey.
const keyColumns = "id, digest, key_prefix, name, account, tier, policy, state, version, source, cluster_uid, gateway_uid, object_uid, object_name"

// KeyByDigest finds a key, revoked ones too.
func (s *store) KeyByDigest(ctx context.Context, digest string) (Key, error) {
	k, err := oneKey(ctx, s.db, digest, "")
	return k, wrap("reading a key", err)
}

// KeysByObject finds the live rows of one object name, the oldest first.
func (s *store) KeysByObject(ctx context.Context, source, clusterUID, objectName string) ([]Key, error) {
	const where = "source = $1 AND cluster_uid = $2 AND object_name = $3 AND state <> 'revoked' ORDER BY created_at, id"
	keys, err := selectKeys(ctx, s.db, where, source, clusterUID, objectName)
	return keys, wrap("reading an object's keys", err)
}

// RevokeKey ends a key for good.
func (s *store) RevokeKey(ctx context.Context, digest string) (Key, error) {
	var k Key
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		const sql = "UPDATE api_keys SET state = 'revoked', version = version + 1, updated_at = $1 WHERE digest = $2 AND state <> 'revoked'"
		if _, err := tx.Exec(ctx, sql, s.now().UnixMicro(), digest); err != nil {
			return err
		}
		var err error
		k, err = oneKey(ctx, tx, digest, "")
		return err
	})
	return k, wrap("revoking a key", err)
}

// UpsertKey makes the row of one object so.
func (s *store) UpsertKey(ctx context.Context, u KeyUpsert) (Key, error) {
	if err := checkUpsert(u); err != nil {
		return Key{}, err
	}
	var k Key
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		if err := s.openAccount(ctx, tx, u); err != nil {
			return err
		}
		made, err := s.insertKey(ctx, tx, u.Key)
		if err != nil {
			return err
		}
		if k, err = oneKey(ctx, tx, u.Digest, s.db.ForUpdate()); err != nil || made {
			return err
		}
		k, err = s.changeKey(ctx, tx, k, u.Key)
		return err
	})
	if err != nil {
		return Key{}, wrap("writing a key", err)
	}
	return k, nil
}

// checkUpsert refuses what must not be written.
func checkUpsert(u KeyUpsert) error {
	digest, err := hex.DecodeString(u.Digest)
	switch {
	case err != nil || len(digest) != 32 || strings.ToLower(u.Digest) != u.Digest:
		return fmt.Errorf("%w key: the digest is no SHA-256 in lower-case hex", errInvalid)
	case u.State != KeyActive && u.State != KeyDisabled:
		return fmt.Errorf("%w key: state %q", errInvalid, u.State)
	case u.Source == "" || u.ObjectName == "":
		return fmt.Errorf("%w key: no source or object", errInvalid)
	case u.FirstGrant < 0 || u.FirstGrant > maxAmount:
		return fmt.Errorf("%w key: first grant %d", errInvalid, u.FirstGrant)
	}
	return checkAccount(u.Account)
}

// openAccount makes the account unless it is there, and then posts its first grant.
func (s *store) openAccount(ctx context.Context, tx sqldb.Tx, u KeyUpsert) error {
	made, err := tx.Exec(ctx, "INSERT INTO accounts (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", u.Account, s.now().UnixMicro())
	if err != nil || made == 0 || u.FirstGrant == 0 {
		return err
	}
	key := "first:" + u.Account
	grant := Grant{ID: key, Account: u.Account, Amount: u.FirstGrant, Kind: "promo", Reason: "first grant"}
	_, err = s.postGrant(ctx, tx, Account{ID: u.Account}, grant, key)
	return err
}

// insertKey makes a row unless there is one with this digest.
func (s *store) insertKey(ctx context.Context, tx sqldb.Tx, k Key) (bool, error) {
	id, err := s.newID()
	if err != nil {
		return false, fmt.Errorf("making an id: %w", err)
	}
	now := s.now().UnixMicro()
	made, err := tx.Exec(ctx, "INSERT INTO api_keys ("+keyColumns+", created_at, updated_at) VALUES "+placeholders(1, 16)+" ON CONFLICT (digest) DO NOTHING",
		"key_"+id.String(), k.Digest, k.Prefix, k.Name, k.Account, k.Tier, k.Policy, string(k.State), 1,
		k.Source, k.ClusterUID, k.GatewayUID, k.ObjectUID, k.ObjectName, now, now)
	return made == 1, err
}

// changeKey makes the row that has the digest so, if it is the object's.
func (s *store) changeKey(ctx context.Context, tx sqldb.Tx, has, want Key) (Key, error) {
	// An object that was deleted and made again under its name while nobody looked is the same for us: it takes the row over.
	same := has.Source == want.Source && has.ClusterUID == want.ClusterUID && (has.ObjectUID == want.ObjectUID || has.ObjectName == want.ObjectName)
	if !same || has.State == KeyRevoked {
		return Key{}, fmt.Errorf("key %s of %s: %w", has.ID, has.ObjectName, ErrConflict)
	}
	want.ID, want.Version = has.ID, has.Version
	if want == has {
		return has, nil
	}
	if want.Account != has.Account || want.Tier != has.Tier || want.Policy != has.Policy || want.State != has.State {
		want.Version++
	}
	const sql = "UPDATE api_keys SET key_prefix = $1, name = $2, account = $3, tier = $4, policy = $5, state = $6, version = $7, " +
		"gateway_uid = $8, object_uid = $9, object_name = $10, updated_at = $11 WHERE id = $12"
	_, err := tx.Exec(ctx, sql, want.Prefix, want.Name, want.Account, want.Tier, want.Policy, string(want.State), want.Version,
		want.GatewayUID, want.ObjectUID, want.ObjectName, s.now().UnixMicro(), want.ID)
	return want, err
}

// oneKey reads the row of a digest, or ErrNotFound.
func oneKey(ctx context.Context, q each, digest, end string) (Key, error) {
	keys, err := selectKeys(ctx, q, "digest = $1"+end, digest)
	if err == nil && len(keys) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Key{}, err
	}
	return keys[0], nil
}

// selectKeys reads rows by a condition.
func selectKeys(ctx context.Context, q each, where string, args ...any) ([]Key, error) {
	var keys []Key
	err := q.Each(ctx, "SELECT "+keyColumns+" FROM api_keys WHERE "+where, args, func(scan func(...any) error) error {
		var k Key
		err := scan(&k.ID, &k.Digest, &k.Prefix, &k.Name, &k.Account, &k.Tier, &k.Policy, (*string)(&k.State), &k.Version,
			&k.Source, &k.ClusterUID, &k.GatewayUID, &k.ObjectUID, &k.ObjectName)
		keys = append(keys, k)
		return err
	})
	return keys, err
}
