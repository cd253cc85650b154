package admit

import (
	"context"

	"github.com/redis/rueidis"
)

const (
	// deadPerCall is how many owners whose lease is gone are looked at in one call, listPerCall how many accounts of each.
	deadPerCall, listPerCall = 16, 64
)

// Orphans answers holds of owners whose lease is gone, and forgets owners who have none left. See Owner. It needs no owner of
// its own; with one, its lease is renewed first: a process that was asleep does not take itself for dead.
func (r *Redis) Orphans(ctx context.Context, most int) ([]Orphan, error) {
	if r.owner != nil {
		if err := r.Renew(ctx); err != nil {
			return nil, err
		}
	}
	var owners []string
	err := r.do(ctx, "reading dead owners", func(ctx context.Context, c rueidis.Client) (err error) {
		owners, err = deadScript.Exec(ctx, c, []string{leasesKey}, []string{decimal(deadPerCall)}).AsStrSlice()
		return err
	})
	var found []Orphan
	for i := 0; err == nil && i < len(owners) && len(found) < most; i++ {
		var of []Orphan
		of, err = r.orphansOf(ctx, owners[i], most-len(found))
		found = append(found, of...)
	}
	return found, err
}

// orphansOf looks at some accounts of a dead owner, by chance: those that cannot be settled keep nobody from the others.
func (r *Redis) orphansOf(ctx context.Context, owner string, most int) (found []Orphan, err error) {
	var accounts []string
	err = r.do(ctx, "reading a dead owner's list", func(ctx context.Context, c rueidis.Client) (err error) {
		accounts, err = c.Do(ctx, c.B().Srandmember().Key(listKey(owner)).Count(listPerCall).Build()).AsStrSlice()
		if err == nil && len(accounts) == 0 {
			err = r.list(ctx, c, owner, "", "remove")
		}
		return err
	})
	for i := 0; err == nil && i < len(accounts) && len(found) < most; i++ {
		err = r.do(ctx, "reading a dead owner's holds", func(ctx context.Context, c rueidis.Client) error {
			of, err := r.orphansOn(ctx, c, owner, accounts[i])
			found = append(found, of...)
			return err
		})
	}
	return found, err
}

// orphansOn answers a dead owner's holds on one account, and takes the account off its list if there are none. What this
// process held under a name that it has lost is its own: Sync takes it over, or takes it away.
func (r *Redis) orphansOn(ctx context.Context, c rueidis.Client, owner, account string) (found []Orphan, err error) {
	stored, err := r.read(ctx, c, account)
	if err != nil {
		return nil, err
	}
	held := false
	own := r.owner != nil && r.owner.mine(owner)
	for id, h := range stored {
		if h.owner != owner {
			continue
		}
		held = true
		if !own {
			found = append(found, Orphan{
				Owner: owner, Account: account, RequestID: id, KeyDigest: h.digest, Amount: h.amount, Finished: !h.running,
				Record: []byte(h.record), At: h.at,
			})
		}
	}
	switch {
	case !held:
		return nil, r.list(ctx, c, owner, account, "remove")
	case own:
		r.owner.lost(account)
		r.owner.again(account)
	}
	return found, nil
}

// again has an account synced with the next Sync.
func (o *owner) again(account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(account).rounds = syncRounds
}
