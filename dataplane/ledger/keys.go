package ledger

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// keyColumns are the columns of a Key, in the order of keyRow and scanKey.
const keyColumns = "id, digest, key_prefix, name, account, tier, policy, state, version, source, cluster_uid, gateway_uid, object_uid, object_name, " +
	"user_id, scopes, models, cap_amount, cap_period, expires_at, rotation, first_digest"

// KeyByDigest finds a key, revoked ones too.
func (s *store) KeyByDigest(ctx context.Context, digest string) (Key, error) {
	k, err := oneKey(ctx, s.db, "digest = $1", digest)
	return k, wrap("reading a key", err)
}

// KeyByID finds a key by its row's id.
func (s *store) KeyByID(ctx context.Context, id string) (Key, error) {
	k, err := oneKey(ctx, s.db, "id = $1", id)
	return k, wrap("reading a key", err)
}

// KeysByObject finds the live rows of one object name, the oldest first.
func (s *store) KeysByObject(ctx context.Context, source, clusterUID, objectName string) ([]Key, error) {
	const where = "source = $1 AND cluster_uid = $2 AND object_name = $3 AND state <> 'revoked' ORDER BY created_at, id"
	keys, err := selectKeys(ctx, s.db, where, source, clusterUID, objectName)
	return keys, wrap("reading an object's keys", err)
}

// KeysBySource finds the live rows of one cluster: what a sweep compares with the objects that are declared.
func (s *store) KeysBySource(ctx context.Context, source, clusterUID string) ([]Key, error) {
	const where = "source = $1 AND cluster_uid = $2 AND state <> 'revoked' ORDER BY object_name, created_at, id"
	keys, err := selectKeys(ctx, s.db, where, source, clusterUID)
	return keys, wrap("listing keys", err)
}

// SweepRows is KeysBySource for one gateway.
func (s *store) SweepRows(ctx context.Context, source, clusterUID, gatewayUID string) ([]Key, error) {
	const where = "source = $1 AND cluster_uid = $2 AND gateway_uid = $3 AND state <> 'revoked' ORDER BY object_name, created_at, id"
	keys, err := selectKeys(ctx, s.db, where, source, clusterUID, gatewayUID)
	return keys, wrap("listing keys", err)
}

// ListKeys finds the keys of an account, or of all.
func (s *store) ListKeys(ctx context.Context, account string) ([]Key, error) {
	const where = "($1 = '' OR account = $1) ORDER BY created_at, id"
	keys, err := selectKeys(ctx, s.db, where, account)
	return keys, wrap("listing keys", err)
}

// Gateways answers whose keys there are.
func (s *store) Gateways(ctx context.Context) ([]string, error) {
	const sql = "SELECT DISTINCT gateway_uid FROM api_keys WHERE gateway_uid <> '' AND state <> 'revoked' ORDER BY gateway_uid LIMIT 100"
	var uids []string
	err := s.db.Each(ctx, sql, nil, func(scan func(...any) error) error {
		var uid string
		err := scan(&uid)
		uids = append(uids, uid)
		return err
	})
	return uids, wrap("listing gateways", err)
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
		if k, err = s.lockKey(ctx, tx, u.Digest); err != nil || made {
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

// maxGrantDays bounds the life of a first grant: ten years.
const maxGrantDays = 3650

// checkUpsert refuses what must not be written.
func checkUpsert(u KeyUpsert) error {
	switch {
	case u.State != KeyActive && u.State != KeyDisabled:
		return fmt.Errorf("%w key: state %q", errInvalid, u.State)
	case u.Source == "" || u.ObjectName == "":
		return fmt.Errorf("%w key: no source or object", errInvalid)
	case u.FirstGrant < 0 || u.FirstGrant > maxAmount:
		return fmt.Errorf("%w key: first grant %d", errInvalid, u.FirstGrant)
	case u.FirstGrantDays < 0 || u.FirstGrantDays > maxGrantDays:
		return fmt.Errorf("%w key: first grant of %d days", errInvalid, u.FirstGrantDays)
	}
	return checkKey(u.Key)
}

// checkKey refuses what no row may have, whoever writes it.
func checkKey(k Key) error {
	if err := checkDigest(k.Digest); err != nil {
		return err
	}
	switch {
	case k.CapAmount < 0 || k.CapAmount > maxAmount:
		return fmt.Errorf("%w key: cap %d", errInvalid, k.CapAmount)
	case k.CapPeriod != PeriodDay && k.CapPeriod != PeriodMonth && (k.CapPeriod != "" || k.CapAmount > 0):
		return fmt.Errorf("%w key: cap period %q", errInvalid, k.CapPeriod)
	case k.ExpiresAt < 0:
		return fmt.Errorf("%w key: expires at %d", errInvalid, k.ExpiresAt)
	case slices.Contains(k.Models, ""):
		return fmt.Errorf("%w key: a model without a name", errInvalid)
	}
	for _, scope := range k.Scopes {
		if scope != ScopeInference && scope != ScopeUsage {
			return fmt.Errorf("%w key: scope %q", errInvalid, scope)
		}
	}
	return checkAccount(k.Account)
}

// checkDigest never shows what it refuses: it may be a plain key.
func checkDigest(s string) error {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 || strings.ToLower(s) != s {
		return fmt.Errorf("%w key: the digest is no SHA-256 in lower-case hex", errInvalid)
	}
	return nil
}

// openAccount makes the account unless it is there, and then posts its first grant.
func (s *store) openAccount(ctx context.Context, tx sqldb.Tx, u KeyUpsert) error {
	const insert = "INSERT INTO accounts (id, version, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
	made, err := tx.Exec(ctx, insert, u.Account, s.nextVersion(0), s.now().UnixMicro())
	if err != nil || made == 0 || u.FirstGrant == 0 {
		return err
	}
	key := "first:" + u.Account
	grant := Grant{ID: key, Account: u.Account, Amount: u.FirstGrant, Kind: "promo", Reason: "first grant"}
	if u.FirstGrantDays > 0 {
		grant.ExpiresAt = s.now().UTC().AddDate(0, 0, int(u.FirstGrantDays)).UnixMicro()
	}
	_, err = s.postGrant(ctx, tx, grant, key)
	return err
}

// nextVersion is the version of a row after one that had version (0: a new row): never less than now in microseconds. So a
// ledger that was set back to an older copy of itself, and another one in its place, do not count again what Redis has heard
// of already: whatever they change is newer than what Redis knows.
func (s *store) nextVersion(version int64) int64 { return max(version+1, s.now().UnixMicro()) }

// insertKey makes a row unless there is one with this digest.
func (s *store) insertKey(ctx context.Context, tx sqldb.Tx, k Key) (bool, error) {
	id, err := s.newID()
	if err != nil {
		return false, fmt.Errorf("making an id: %w", err)
	}
	k.ID, k.Version = "key_"+id.String(), s.nextVersion(0)
	now := s.now().UnixMicro()
	row := append(keyRow(k), now, now)
	made, err := tx.Exec(ctx, "INSERT INTO api_keys ("+keyColumns+", created_at, updated_at) VALUES "+placeholders(1, len(row))+
		" ON CONFLICT (digest) DO NOTHING", row...)
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
	if equal(want, has) {
		return has, nil
	}
	return s.updateKey(ctx, tx, has, want)
}

// updateKey writes a locked row; where admission is concerned, the version moves on and the outbox says so, for the account
// and the gateway that the key had, too.
func (s *store) updateKey(ctx context.Context, tx sqldb.Tx, has, want Key) (Key, error) {
	matters := !equal(admitted(want), admitted(has))
	want.Version = has.Version
	if matters {
		want.Version = s.nextVersion(has.Version)
	}
	row := append(keyRow(want), s.now().UnixMicro())
	// One row of VALUES would not tell PostgreSQL the types: a column each.
	var set strings.Builder
	for i, column := range append(strings.Split(keyColumns, ", "), "updated_at") {
		if i > 1 { // after id and digest
			fmt.Fprintf(&set, ", %s = $%d", column, i+1)
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE api_keys SET "+set.String()[2:]+" WHERE id = $1 AND digest = $2", row...); err != nil || !matters {
		return want, err
	}
	if want.Account != has.Account || want.GatewayUID != has.GatewayUID {
		if err := s.tell(ctx, tx, has); err != nil {
			return Key{}, err
		}
	}
	return want, s.tell(ctx, tx, want)
}

// admitted is what of a key matters to admission. Another gateway takes no key that is not its own, so that one that moves to
// another is to be refused where it was.
func admitted(k Key) Key {
	return Key{
		GatewayUID: k.GatewayUID, Account: k.Account, Tier: k.Tier, Policy: k.Policy, State: k.State, Scopes: k.Scopes, Models: k.Models,
		CapAmount: k.CapAmount, CapPeriod: k.CapPeriod, ExpiresAt: k.ExpiresAt,
	}
}

// equal compares rows; no list is as good as an empty one.
func equal(a, b Key) bool { return slices.Equal(keyRow(a), keyRow(b)) }

// lockKey reads the row of a digest and locks it until the transaction ends.
func (s *store) lockKey(ctx context.Context, tx sqldb.Tx, digest string) (Key, error) {
	return oneKey(ctx, tx, "digest = $1"+s.db.ForUpdate(), digest)
}

// oneKey reads the row of a condition, or ErrNotFound.
func oneKey(ctx context.Context, q each, where string, arg any) (Key, error) {
	keys, err := selectKeys(ctx, q, where, arg)
	if err == nil && len(keys) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Key{}, err
	}
	return keys[0], nil
}

// keyRow are the values of keyColumns.
func keyRow(k Key) []any {
	return []any{
		k.ID, k.Digest, k.Prefix, k.Name, k.Account, k.Tier, k.Policy, string(k.State), k.Version,
		k.Source, k.ClusterUID, k.GatewayUID, k.ObjectUID, k.ObjectName,
		sql.NullString{String: k.UserID, Valid: k.UserID != ""}, list(k.Scopes), list(k.Models), k.CapAmount, k.CapPeriod, k.ExpiresAt, k.Rotation, k.FirstDigest,
	}
}

// list is how a column holds names.
func list(names []string) string {
	if len(names) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(names) // strings always have a form in JSON
	return string(text)
}

// selectKeys reads rows by a condition.
func selectKeys(ctx context.Context, q each, where string, args ...any) ([]Key, error) {
	var keys []Key
	err := q.Each(ctx, "SELECT "+keyColumns+" FROM api_keys WHERE "+where, args, func(scan func(...any) error) error {
		k, err := scanKey(scan)
		keys = append(keys, k)
		return err
	})
	return keys, err
}

func scanKey(scan func(...any) error) (k Key, err error) {
	var user sql.NullString
	var scopes, models string
	err = scan(&k.ID, &k.Digest, &k.Prefix, &k.Name, &k.Account, &k.Tier, &k.Policy, (*string)(&k.State), &k.Version,
		&k.Source, &k.ClusterUID, &k.GatewayUID, &k.ObjectUID, &k.ObjectName,
		&user, &scopes, &models, &k.CapAmount, &k.CapPeriod, &k.ExpiresAt, &k.Rotation, &k.FirstDigest)
	if err != nil {
		return Key{}, err
	}
	k.UserID = user.String
	if k.Scopes, err = names(scopes); err == nil {
		k.Models, err = names(models)
	}
	if err != nil {
		return Key{}, fmt.Errorf("key %s: reading its scopes and models: %w", k.ID, err)
	}
	return k, nil
}

// names reads what list wrote; nil where there are none.
func names(text string) ([]string, error) {
	if text == "[]" {
		return nil, nil
	}
	var out []string
	err := json.Unmarshal([]byte(text), &out)
	return out, err
}
