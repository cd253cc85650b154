package admit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/pricing"
)

//go:embed lua/sync.lua
var syncLua string

var syncScript = rueidis.NewLuaScriptRetryable(holdLua + holdsLua + syncLua)

const (
	// syncsAtOnce is how many accounts are compared at the same time.
	syncsAtOnce = 8
	// holdsPerCall bounds the work of one call of sync.lua, holdsPerRead that of one read.
	holdsPerCall, holdsPerRead = 200, 500
)

// Sync makes the store's holds those of this process. See Owner.
func (r *Redis) Sync(ctx context.Context) error {
	if r.owner == nil {
		return errNoOwner
	}
	var live []string
	err := r.do(ctx, "reading leases", func(ctx context.Context, c rueidis.Client) (err error) {
		live, err = liveScript.Exec(ctx, c, []string{leasesKey}, nil).AsStrSlice()
		return err
	})
	if err != nil {
		return err
	}
	accounts, idle := r.owner.due()
	err = r.syncAll(accounts, func(account string) error { return r.syncAccount(ctx, account, live) })
	return errors.Join(err, r.syncAll(idle, func(account string) error {
		return r.do(ctx, "leaving an account", func(ctx context.Context, c rueidis.Client) error { return r.leave(ctx, c, account) })
	}))
}

// syncAll does something for each account, some at a time. A part of the store that did not answer in time is not asked for others:
// they would all wait as long, and the lease with them.
func (r *Redis) syncAll(accounts []string, do func(account string) error) error {
	errs := make([]error, len(accounts))
	var silent [clusterParts]atomic.Bool
	room := make(chan struct{}, syncsAtOnce)
	var running sync.WaitGroup
	for i, account := range accounts {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			part := &silent[r.Part(accountKey(account))]
			if part.Load() {
				errs[i] = errSilent
				return
			}
			if errs[i] = do(account); errors.Is(errs[i], context.DeadlineExceeded) {
				part.Store(true)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// errSilent says that an account is not synced now, because another one of its part was not answered.
var errSilent = errors.New("its part of the store does not answer")

// syncLost syncs an account that the store has lost something of.
func (r *Redis) syncLost(ctx context.Context, account string) error {
	if r.owner == nil {
		return nil
	}
	r.owner.distrust()
	r.owner.mu.Lock()
	a := r.owner.accounts[account]
	lost := a != nil && a.lost && a.holdsAny()
	r.owner.mu.Unlock()
	if !lost {
		return nil
	}
	return r.syncAccount(ctx, account, nil)
}

// syncAccount compares one account: first what the store has, then what this process has, so that what the first has and the
// second has not was there before, and is not held. Holds of owners who are not among live are put on their lists; live nil:
// that is left to others.
func (r *Redis) syncAccount(ctx context.Context, account string, live []string) error {
	return r.do(ctx, "syncing an account", func(ctx context.Context, c rueidis.Client) error {
		m, err := r.member(ctx, c, account)
		if err != nil {
			return err
		}
		if !m.joined {
			if err := r.join(ctx, c, account); err != nil {
				return err
			}
		}
		stored, err := r.read(ctx, c, account)
		if err != nil {
			return err
		}
		name, put, end := r.owner.compare(account, stored)
		changed, err := r.write(ctx, c, account, name, put, end)
		if err != nil {
			return err
		}
		r.owner.synced(account, changed)
		if live == nil {
			return nil
		}
		return r.adopt(ctx, c, account, stored, live)
	})
}

// adopt puts an account on the lists of owners who hold something there and whose lease is gone: a list may have been lost.
func (r *Redis) adopt(ctx context.Context, c rueidis.Client, account string, stored map[string]storedHold, live []string) error {
	seen := map[string]bool{}
	for _, h := range stored {
		if seen[h.owner] || r.owner.mine(h.owner) || slices.Contains(live, h.owner) {
			continue
		}
		seen[h.owner] = true
		if err := r.list(ctx, c, h.owner, account, "add"); err != nil {
			return err
		}
	}
	return nil
}

// storedHold is an owner's hold as the store has it.
type storedHold struct {
	amount        pricing.Nano
	running       bool
	digest, owner string
	at            time.Time
	record        string
}

// state is what tells one state of a hold from another, as the scripts say it.
func (h storedHold) state() string {
	return fmt.Sprintf("%d %s %s", h.amount, flag(h.running), h.owner)
}

// parseHold reads a hold; false for one without an owner.
func parseHold(value string) (storedHold, bool) {
	words := strings.SplitN(value, " ", 8)
	if len(words) < 8 || words[4] == "" {
		return storedHold{}, false
	}
	amount, err := strconv.ParseInt(words[0], 10, 64)
	at, err2 := strconv.ParseInt(words[5], 10, 64)
	return storedHold{
		amount: amount, running: words[2] == "1", digest: words[3], owner: words[4], at: time.UnixMicro(at).UTC(), record: words[7],
	}, err == nil && err2 == nil
}

// read answers the holds of owners on an account, in slices: one account may have very many.
func (r *Redis) read(ctx context.Context, c rueidis.Client, account string) (map[string]storedHold, error) {
	all := map[string]storedHold{}
	for cursor := uint64(0); ; {
		entry, err := c.Do(ctx, c.B().Hscan().Key(holdsKey(account)).Cursor(cursor).Count(holdsPerRead).Build()).AsScanEntry()
		if err != nil {
			return nil, fmt.Errorf("reading holds: %w", err)
		}
		for pair := range slices.Chunk(entry.Elements, 2) {
			if pair[0] == "" || strings.Contains(pair[0], " ") { // sums
				continue
			}
			if h, ok := parseHold(pair[1]); ok {
				all[pair[0]] = h
			}
		}
		if cursor = entry.Cursor; cursor == 0 {
			return all, nil
		}
	}
}

// compare answers, in the words of sync.lua, what the store lacks or has in another state, and what it has too much.
func (o *owner) compare(account string, stored map[string]storedHold) (name string, put, end [][]string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.of(account)
	for id, h := range a.holds {
		there, ok := stored[id]
		now := storedHold{amount: h.amount, running: !h.finished, owner: o.name}.state()
		if h.pending > 0 || !h.known || ok && (there.state() == now || !o.mine(there.owner)) {
			continue
		}
		seen := ""
		if ok {
			seen = there.state()
		}
		put = append(put, []string{id, seen, decimal(h.amount), decimal(h.until), flag(!h.finished), h.digest, decimal(h.at), h.record})
	}
	for id, h := range stored {
		if a.holds[id] == nil && o.mine(h.owner) {
			end = append(end, []string{id, h.state()})
		}
	}
	return o.name, put, end
}

// write puts right what differs.
func (r *Redis) write(ctx context.Context, c rueidis.Client, account, name string, put, end [][]string) (changed bool, err error) {
	keys := []string{holdsKey(account), expiryKey(account), runningKey(account), accountKey(account)}
	call := func(put, end [][]string) error {
		args, keys := []string{name, decimal(len(put))}, slices.Clone(keys)
		args = append(append(args, slices.Concat(put...)...), slices.Concat(end...)...)
		for _, of := range end {
			keys = append(keys, requestKey(account, of[0]))
		}
		n, err := syncScript.Exec(ctx, c, keys, args).AsInt64()
		changed = changed || n > 0
		return err
	}
	for part := range slices.Chunk(put, holdsPerCall) {
		if err := call(part, nil); err != nil {
			return changed, err
		}
	}
	for part := range slices.Chunk(end, holdsPerCall) {
		if err := call(nil, part); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// synced notes that an account was compared.
func (o *owner) synced(account string, changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.of(account)
	a.lost = false
	if changed {
		a.rounds = syncRounds
	} else {
		a.rounds = max(0, a.rounds-1)
	}
}
