package up

import (
	"context"
	"errors"
	"fmt"

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
}

// declared is one key and the digest that it has now.
type declared struct {
	compile.Key
	digest, prefix string
}

// sync disables the rows of keys that are declared no more, makes the others so, and answers what went wrong with single
// keys. The error is about a store. Nothing is revoked for good: a typo in a file must not cost anybody their key.
func (r rows) sync(ctx context.Context, want []compile.Key) ([]note, error) {
	digests := map[string]bool{}
	list := make([]declared, 0, len(want))
	for _, k := range want {
		d, err := r.resolve(k)
		if err != nil {
			return nil, err
		}
		digests[d.digest] = true
		list = append(list, d)
	}
	// Denied first: whatever fails after it, no key works that is declared no more.
	known, err := r.disableOthers(ctx, digests)
	if err != nil {
		return nil, err
	}
	var notes []note
	for _, d := range list {
		// Its account would be made without the first grant, which no later start would make up for.
		if d.Unresolved && !known[d.digest] {
			continue
		}
		if err := r.write(ctx, upsertOf(d)); errors.Is(err, ledger.ErrConflict) {
			notes = append(notes, note{fmt.Sprintf("APIKey %s: its digest was revoked before; it needs another key", d.Object), true})
		} else if err != nil {
			return notes, fmt.Errorf("writing the key of APIKey %s: %w", d.Object, err)
		}
	}
	return notes, nil
}

// resolve finds the digest of a key, making the key if need be.
func (r rows) resolve(k compile.Key) (declared, error) {
	if k.SHA256 != "" {
		return declared{Key: k, digest: k.SHA256}, nil
	}
	plain, err := r.files.get(types.NamespacedName{Namespace: k.Object.Namespace, Name: k.SecretName})
	if err != nil {
		return declared{}, fmt.Errorf("APIKey %s: %w", k.Object, err)
	}
	return declared{k, keys.Digest(plain), keys.Prefix(plain)}, nil
}

// disableOthers disables the live rows that have none of the digests, and answers the digests of those that stay.
func (r rows) disableOthers(ctx context.Context, keep map[string]bool) (map[string]bool, error) {
	have, err := r.ledger.KeysBySource(ctx, rowSource, rowOwner)
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	known := map[string]bool{}
	for _, row := range have {
		if keep[row.Digest] {
			known[row.Digest] = true
			continue
		}
		row.State = ledger.KeyDisabled
		if err := r.write(ctx, ledger.KeyUpsert{Key: row}); err != nil {
			return nil, fmt.Errorf("disabling key %s: %w", row.ID, err)
		}
	}
	return known, nil
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
			Source: rowSource, ClusterUID: rowOwner, GatewayUID: rowOwner,
			// In a folder the digest is what a key is: an object that is renamed keeps its row.
			ObjectUID: d.digest, ObjectName: d.Object.String(),
		},
		FirstGrant: d.FirstGrant,
	}
}
