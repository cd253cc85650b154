package up

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// Whose rows they are: all that `layers up` makes in one ledger belong to one cluster, called up.
const (
	rowSource = "manifest"
	rowOwner  = "up"
)

// admission is what keys need of the store that every request asks.
type admission interface {
	keys.Loader
	keys.Cache
}

// rows makes the ledger's keys what the folder declares.
type rows struct {
	ledger    ledger.Ledger
	admission admission
	files     keyFiles
	now       func() time.Time
}

// declared is one key, the digest that it has now, and its rows in the ledger.
type declared struct {
	compile.Key
	digest, prefix string
	have           []ledger.Key
}

// sync disables the rows of keys that are declared no more, makes the others so, and answers what went wrong with single
// keys. The error is about a store. Calling it again goes on where it stopped. What is not declared is not revoked for good: a
// typo in a file must not cost anybody their key.
func (r rows) sync(ctx context.Context, want []compile.Key) ([]note, error) {
	have, err := r.ledger.KeysBySource(ctx, rowSource, rowOwner)
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	byObject := map[string][]ledger.Key{}
	for _, row := range have {
		byObject[row.ObjectName] = append(byObject[row.ObjectName], row)
	}
	list := make([]declared, 0, len(want))
	keep, made := map[string]bool{}, map[string]bool{}
	for _, k := range want {
		d, err := r.resolve(k, byObject[k.Object.String()])
		if err != nil {
			return nil, err
		}
		list = append(list, d)
		keep[d.digest], made[k.Object.String()] = true, k.SHA256 == ""
		for _, row := range d.have {
			keep[row.Digest] = keep[row.Digest] || r.overlaps(d, row)
		}
	}
	// Denied first: whatever fails after it, no key works that is declared no more.
	for _, row := range have {
		if keep[row.Digest] {
			continue
		}
		if err := r.endKey(ctx, row, made[row.ObjectName]); err != nil {
			return nil, fmt.Errorf("ending key %s: %w", row.ID, err)
		}
	}
	return r.upsertAll(ctx, list)
}

// endKey disables a row. One that a newer key of its object has replaced, after a rotation or because its file was
// removed to be rid of it, is revoked: that nobody does by a typo.
func (r rows) endKey(ctx context.Context, row ledger.Key, replaced bool) error {
	if replaced {
		_, err := keys.Revoke(ctx, r.ledger, r.admission, r.admission, row.Digest)
		return err
	}
	row.State = ledger.KeyDisabled
	return r.write(ctx, ledger.KeyUpsert{Key: row})
}

func (r rows) upsertAll(ctx context.Context, list []declared) ([]note, error) {
	var notes []note
	for _, d := range list {
		// Its account would be made without the first grant, which no later start would make up for.
		if d.Unresolved && len(d.have) == 0 {
			continue
		}
		if err := r.upsert(ctx, d); errors.Is(err, ledger.ErrConflict) {
			notes = append(notes, note{fmt.Sprintf("APIKey %s: its digest was revoked before; it needs another key", d.Object), true})
		} else if err != nil {
			return notes, fmt.Errorf("writing the key of APIKey %s: %w", d.Object, err)
		}
	}
	return notes, nil
}

// resolve finds the digest of a key. A generated one is made if need be: when it has no file yet, and when the file's key
// was made for a lower rotation.
func (r rows) resolve(k compile.Key, have []ledger.Key) (declared, error) {
	d := declared{Key: k, digest: k.SHA256, have: have}
	if k.SHA256 != "" {
		return d, nil
	}
	plain, err := r.files.get(secretOf(k))
	if err == nil && r.outdated(k, keys.Digest(plain), have) {
		plain, err = r.files.generate(secretOf(k))
	}
	if err != nil {
		return declared{}, fmt.Errorf("APIKey %s: %w", k.Object, err)
	}
	d.digest, d.prefix = keys.Digest(plain), keys.Prefix(plain)
	return d, nil
}

// outdated says whether a digest was made for a lower rotation than the declared one.
func (r rows) outdated(k compile.Key, digest string, have []ledger.Key) bool {
	for _, row := range have {
		if row.Digest == digest {
			return rotation(row) < k.Rotation
		}
	}
	return false
}

// overlaps says whether a row is of a key that was rotated away and is still honoured. One of the declared rotation is
// not: its file was removed to be rid of it.
func (r rows) overlaps(d declared, row ledger.Key) bool {
	if d.SHA256 != "" || rotation(row) >= d.Rotation {
		return false
	}
	return r.end(d, row) > r.now().UnixMicro()
}

// end is when a key that was rotated away ends. The overlap begins when the key after it has no row yet; from then on
// nothing moves it.
func (r rows) end(d declared, row ledger.Key) int64 {
	if row.ExpiresAt > 0 && holds(d.have, d.digest) {
		return row.ExpiresAt
	}
	end := r.now().Add(time.Duration(d.OverlapSeconds) * time.Second).UnixMicro()
	if row.ExpiresAt > 0 {
		end = min(end, row.ExpiresAt)
	}
	return end
}

// holds says whether a digest has a row.
func holds(have []ledger.Key, digest string) bool {
	return slices.ContainsFunc(have, func(row ledger.Key) bool { return row.Digest == digest })
}

// rotation of a row; rows of older builds have none.
func rotation(row ledger.Key) int64 { return max(row.Rotation, 1) }

func secretOf(k compile.Key) types.NamespacedName {
	return types.NamespacedName{Namespace: k.Object.Namespace, Name: k.SecretName}
}

// upsert writes the rows of one key, those that were rotated away first: their end must be known before the key after
// them is. A digest that was revoked by hand stays revoked (ledger.ErrConflict).
func (r rows) upsert(ctx context.Context, d declared) error {
	for _, row := range d.have {
		if row.Digest == d.digest || !r.overlaps(d, row) {
			continue
		}
		// What is said of the object holds for it, too: it can be disabled while it overlaps.
		old := upsertOf(d)
		old.Digest, old.Prefix, old.Rotation, old.ExpiresAt = row.Digest, row.Prefix, row.Rotation, r.end(d, row)
		if d.ExpiresAt > 0 {
			old.ExpiresAt = min(old.ExpiresAt, d.ExpiresAt)
		}
		if err := r.write(ctx, old); err != nil {
			return err
		}
	}
	return r.write(ctx, upsertOf(d))
}

// write writes one row and tells admission.
func (r rows) write(ctx context.Context, u ledger.KeyUpsert) error {
	row, err := r.ledger.UpsertKey(ctx, u)
	if err != nil {
		return err
	}
	return keys.Publish(ctx, r.admission, r.admission, row)
}

func upsertOf(d declared) ledger.KeyUpsert {
	state := ledger.KeyActive
	if d.Disabled {
		state = ledger.KeyDisabled
	}
	return ledger.KeyUpsert{
		Key: ledger.Key{
			Digest: d.digest, Prefix: d.prefix, Name: d.Object.String(),
			Account: d.Account, Tier: d.Tier, Policy: d.Policy, State: state,
			Scopes: d.Scopes, Models: d.Models, CapAmount: d.CapNano, CapPeriod: d.CapPeriod,
			ExpiresAt: d.ExpiresAt, Rotation: d.Rotation,
			Source: rowSource, ClusterUID: rowOwner, GatewayUID: rowOwner,
			// In a folder the digest is what a key is: an object that is renamed keeps its row.
			ObjectUID: d.digest, ObjectName: d.Object.String(),
		},
		FirstGrant: d.FirstGrant, FirstGrantDays: d.FirstGrantDays,
	}
}
