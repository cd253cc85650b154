package admit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

//go:embed lua/leave.lua
var leaveLua string

var leaveScript = rueidis.NewLuaScriptRetryable(leaveLua)

// ErrNoURL says that nobody has said yet where the store is.
var ErrNoURL = errors.New("the admission store has no URL yet")

// NewLate makes a Redis whose URL comes later, by Point: Options.URL is not used. Until then it answers ErrNoURL.
func NewLate(o Options) (*Redis, error) {
	o = o.withDefaults()
	if strings.Contains(o.Owner, " ") {
		return nil, fmt.Errorf("owner %q has a space: %w", o.Owner, ErrRange)
	}
	r := &Redis{opts: o, epoch: newEpoch(), admitScript: admitScript(o)}
	if o.Owner != "" {
		r.owner = newOwner(o.Owner)
	}
	return r, nil
}

// Point makes another URL that of the store, at once: calls that are under way are made again there. Holds of this process are its
// own and not the store's, so that they move with it: to the new store it is as if that had lost them, and Sync brings them. A URL
// that cannot be read changes nothing.
func (r *Redis) Point(url string) error {
	o := r.opts
	o.URL = url
	driver, err := o.client()
	if err != nil {
		return err
	}
	if r.owner != nil {
		driver.DialCtxFn = r.owner.dial
	}
	r.mu.Lock()
	old := r.client
	r.client, r.driver = nil, driver
	r.pointed++
	r.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// Leave brings the store what this process still holds and gives its lease up, so that others reap that at once and not when
// the lease has ended. Nothing may be admitted afterwards. Without it, or where it fails, they do so later.
func (r *Redis) Leave(ctx context.Context) error {
	if r.owner == nil {
		return errNoOwner
	}
	if err := r.Sync(ctx); err != nil {
		return err
	}
	return r.do(ctx, "leaving", func(ctx context.Context, c rueidis.Client) error {
		r.owner.mu.Lock()
		name := r.owner.name
		r.owner.mu.Unlock()
		if err := leaveScript.Exec(ctx, c, []string{leasesKey, listKey(name)}, []string{name}).Error(); err != nil {
			return fmt.Errorf("giving up the lease: %w", err)
		}
		return nil
	})
}
