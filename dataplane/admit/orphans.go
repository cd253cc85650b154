package admit

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

const (
	// deadPerCall is how many owners whose lease is gone one call of a script gives up and answers, listPerCall about how many
	// accounts are read of a list at once.
	deadPerCall, listPerCall = 16, 64
	// looksPerCall is about how many owners and accounts one Orphans looks at.
	looksPerCall = 1000
)

// Pass is one way through all owners whose lease is gone, an Orphans at a time. The zero value is at its beginning, where Orphans
// puts it again at its end. It is not for concurrent use.
type Pass struct {
	// Gone is told the accounts of a dead owner that it holds nothing on any more, before it is forgotten that it had used them: what
	// it settled there it may not have confirmed. An error leaves them to another pass. Nil: nobody is told.
	Gone func(ctx context.Context, accounts []string) error

	owners   []string // to look at, before the next are asked for
	last     bool     // there are none after these
	stay     int      // how many were looked at and have something left
	owner    string   // the present one, empty: none
	cursor   uint64   // in its list
	accounts []string // of it, to look at
	idle     []string // of it, on which it holds nothing
	left     bool     // it has something left
}

// Orphans answers holds of owners whose lease is gone, and forgets owners who have none left. See Owner. It needs no owner of
// its own; with one, its lease is renewed first: a process that was asleep does not take itself for dead. After an error the pass
// goes on behind what could not be read: that keeps nobody from the others.
func (r *Redis) Orphans(ctx context.Context, p *Pass, most int) (found []Orphan, more bool, err error) {
	if r.owner != nil {
		if err := r.Renew(ctx); err != nil {
			return nil, true, err
		}
	}
	for looks := 0; looks < looksPerCall && len(found) < most; looks++ {
		switch {
		case len(p.accounts) > 0:
			account := p.accounts[0]
			p.accounts = p.accounts[1:]
			var of []Orphan
			of, err = r.orphansOn(ctx, p, account)
			found = append(found, of...)
		case p.owner != "":
			err = r.nextAccounts(ctx, p)
		case len(p.owners) > 0:
			p.owner, p.owners, p.cursor, p.left = p.owners[0], p.owners[1:], start, false
		case p.last:
			*p = Pass{Gone: p.Gone}
			return found, false, nil
		default:
			err = r.nextOwners(ctx, p)
		}
		if err != nil {
			p.skip()
			return found, true, err
		}
	}
	return found, true, nil
}

// start is where no list has begun: a cursor of 0 is where it has ended.
const start = ^uint64(0)

// skip leaves the present owner as it is.
func (p *Pass) skip() {
	if p.owner != "" {
		p.owner, p.accounts, p.idle = "", nil, nil
		p.stay++
	}
}

// nextOwners gives up owners whose lease has ended, and reads dead ones behind those that stay.
func (r *Redis) nextOwners(ctx context.Context, p *Pass) error {
	return r.do(ctx, "reading dead owners", func(ctx context.Context, c rueidis.Client) (err error) {
		p.owners, err = deadScript.Exec(ctx, c, []string{leasesKey}, []string{decimal(deadPerCall), strconv.Itoa(p.stay)}).AsStrSlice()
		p.last = err == nil && len(p.owners) < deadPerCall
		return err
	})
}

// nextAccounts takes what is idle off the list of the present owner and reads on in it. Accounts that are on the list from the
// beginning to the end of a pass are read in it, whatever comes and goes meanwhile.
func (r *Redis) nextAccounts(ctx context.Context, p *Pass) error {
	if err := r.forgetIdle(ctx, p); err != nil {
		return err
	}
	if p.cursor == 0 {
		if p.owner = ""; p.left {
			p.stay++
		}
		return nil
	}
	return r.do(ctx, "reading a dead owner's list", func(ctx context.Context, c rueidis.Client) error {
		from := p.cursor
		if from == start {
			from = 0
		}
		page, err := c.Do(ctx, c.B().Sscan().Key(listKey(p.owner)).Cursor(from).Count(listPerCall).Build()).AsScanEntry()
		if err == nil && p.cursor == start && page.Cursor == 0 && len(page.Elements) == 0 {
			err = r.list(ctx, c, p.owner, "", "remove")
		}
		if err == nil {
			p.cursor, p.accounts = page.Cursor, page.Elements
		}
		return err
	})
}

// forgetIdle takes accounts off the list, once that was told.
func (r *Redis) forgetIdle(ctx context.Context, p *Pass) error {
	if len(p.idle) == 0 {
		return nil
	}
	if p.Gone != nil {
		if err := p.Gone(ctx, p.idle); err != nil {
			return err
		}
	}
	for _, account := range p.idle {
		err := r.do(ctx, "forgetting an account of a dead owner", func(ctx context.Context, c rueidis.Client) error {
			return r.list(ctx, c, p.owner, account, "remove")
		})
		if err != nil {
			return err
		}
	}
	p.idle = nil
	return nil
}

// orphansOn answers the dead owner's holds on one account. What this process held under a name that it has lost is its own: Sync
// takes it over, or takes it away.
func (r *Redis) orphansOn(ctx context.Context, p *Pass, account string) (found []Orphan, err error) {
	var stored map[string]storedHold
	err = r.do(ctx, "reading a dead owner's holds", func(ctx context.Context, c rueidis.Client) (err error) {
		stored, err = r.read(ctx, c, account)
		return err
	})
	if err != nil {
		return nil, err
	}
	held := false
	own := r.owner != nil && r.owner.mine(p.owner)
	for id, h := range stored {
		if h.owner != p.owner {
			continue
		}
		held = true
		if !own {
			found = append(found, Orphan{
				Owner: p.owner, Account: account, RequestID: id, KeyDigest: h.digest, Amount: h.amount, Finished: !h.running,
				Record: []byte(h.record), At: h.at,
			})
		}
	}
	switch {
	case !held:
		p.idle = append(p.idle, account)
		return nil, nil
	case own:
		r.owner.lost(account)
		r.owner.again(account)
	}
	p.left = true
	return found, nil
}

// again has an account synced with the next Sync.
func (o *owner) again(account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(account).rounds = syncRounds
}
