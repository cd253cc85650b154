package keys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// Errors of a lookup.
var (
	// ErrUnknown: there is no such key (401). A revoked or disabled key is found, as such.
	ErrUnknown = errors.New("unknown key")
	// ErrExpired: the key's time is over, by this replica's clock (401); the key comes with it.
	ErrExpired = errors.New("the key has expired")
	// ErrUnavailable: the store could not answer (503).
	ErrUnavailable = errors.New("key store is unavailable")
)

// Store is what a Resolver needs of the ledger; ledger.ErrNotFound says that there is no such key.
type Store interface {
	KeyByDigest(ctx context.Context, digest string) (ledger.Key, error)
}

// Cache is a cache that replicas share, admit.Redis for one. A cache that cannot answer costs a store read, no more.
type Cache interface {
	Get(ctx context.Context, key string) (value string, ok bool, err error)
	Set(ctx context.Context, key, value string, ttl time.Duration) error
	Del(ctx context.Context, key string) error
}

// Options of a Resolver.
type Options struct {
	Store Store
	// Cache is optional.
	Cache Cache
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Size and UnknownSize bound the keys, and the digests of no key, that are remembered; 0: 100,000 and 10,000.
	Size, UnknownSize int
	// Timeout bounds the store read that all who ask for one key at one time share; 0: 5 s.
	Timeout time.Duration
}

// Ages of what is remembered. A row is used no longer than MaxAge after it was read from the store, whichever caches it
// went through; admission sees a change of state at once all the same.
const (
	MaxAge        = 60 * time.Second
	MaxAgeUnknown = 2 * time.Second
	// MaxAgeAway is how old a row may be while the store cannot be read: as long as admission goes on without the ledger.
	MaxAgeAway = 15 * time.Minute
)

// awayWait is how long a lookup that could do with an old row waits for the store.
const awayWait = 250 * time.Millisecond

// Resolver finds keys by digest: a local cache, the shared cache, the store. Safe for concurrent use.
type Resolver struct {
	opts    Options
	known   *lru[record]
	unknown *lru[time.Time] // digest -> when the store said so
	flights singleflight.Group
}

// NewResolver makes a Resolver with empty local caches.
func NewResolver(o Options) *Resolver {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Size <= 0 {
		o.Size = 100_000
	}
	if o.UnknownSize <= 0 {
		o.UnknownSize = 10_000
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	return &Resolver{opts: o, known: newLRU[record](o.Size), unknown: newLRU[time.Time](o.UnknownSize)}
}

// Lookup finds a key, in any state; ErrUnknown, ErrExpired, ErrUnavailable, or the error of ctx. Where the store cannot be
// read, a row that is not older than MaxAgeAway does.
func (r *Resolver) Lookup(ctx context.Context, digest string) (ledger.Key, error) {
	key, found, err := r.local(digest)
	if !found && err == nil {
		key, _, err = r.find(ctx, digest)
	}
	return r.timely(key, err)
}

// find asks the shared cache and the store, the latter not for long where an old row is at hand, and says whether this call
// began that.
func (r *Resolver) find(ctx context.Context, digest string) (key ledger.Key, began bool, err error) {
	old, ok := r.known.get(digest)
	if !ok || !old.usable(r.opts.Now()) {
		return r.once(ctx, "lookup", digest, r.shared)
	}
	short, cancel := context.WithTimeout(ctx, awayWait)
	defer cancel()
	key, began, err = r.once(short, "lookup", digest, r.shared) // which goes on behind
	if ctx.Err() == nil && (errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)) {
		return old.key(), began, nil
	}
	return key, began, err
}

// timely refuses a key whose time is over. Caches know when that is, so that it is exact, whatever their age. A key that
// was revoked is told as such.
func (r *Resolver) timely(key ledger.Key, err error) (ledger.Key, error) {
	if err == nil && key.State != ledger.KeyRevoked && key.Expired(r.opts.Now()) {
		err = ErrExpired
	}
	return key, err
}

// Reload reads a key straight from the store and remembers it: what to do when admission answers ReloadKey. Errors as
// Lookup.
func (r *Resolver) Reload(ctx context.Context, digest string) (ledger.Key, error) {
	// A read that was under way may be older than what made the caller ask; the one after it is not.
	key, began, err := r.once(ctx, "reload", digest, r.read)
	if !began && ctx.Err() == nil {
		key, _, err = r.once(ctx, "reload", digest, r.read)
	}
	return r.timely(key, err)
}

// Forget drops the local copy and the shared one.
func (r *Resolver) Forget(ctx context.Context, digest string) error {
	r.known.remove(digest)
	r.unknown.remove(digest)
	if r.opts.Cache == nil {
		return nil
	}
	if err := r.opts.Cache.Del(ctx, cacheKey(digest)); err != nil {
		return fmt.Errorf("forgetting a key: %w", err)
	}
	return nil
}

// Seen says whether this replica found the key before, however long ago, and still remembers it.
func (r *Resolver) Seen(digest string) bool {
	_, ok := r.known.get(digest)
	return ok
}

// local answers from this replica's memory: found, or ErrUnknown, or neither.
func (r *Resolver) local(digest string) (ledger.Key, bool, error) {
	now := r.opts.Now()
	if rec, ok := r.known.get(digest); ok && rec.fresh(now) {
		return rec.key(), true, nil
	}
	if at, ok := r.unknown.get(digest); ok && now.Sub(at) < MaxAgeUnknown {
		return ledger.Key{}, false, ErrUnknown
	}
	return ledger.Key{}, false, nil
}

// once shares one read of a key among all who want it now, and says whether this call began it. It goes on when the one
// who began it leaves.
func (r *Resolver) once(
	ctx context.Context, kind, digest string, read func(context.Context, string) (ledger.Key, error),
) (key ledger.Key, began bool, err error) {
	var mine bool
	flight := r.flights.DoChan(kind+digest, func() (any, error) {
		mine = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opts.Timeout)
		defer cancel()
		return read(ctx, digest)
	})
	select {
	case <-ctx.Done():
		return ledger.Key{}, false, fmt.Errorf("looking up a key: %w", ctx.Err())
	case f := <-flight:
		return f.Val.(ledger.Key), mine, f.Err
	}
}

// shared asks the shared cache, then the store.
func (r *Resolver) shared(ctx context.Context, digest string) (ledger.Key, error) {
	var old record
	if r.opts.Cache != nil {
		text, ok, err := r.opts.Cache.Get(ctx, cacheKey(digest))
		if rec, good := decode(text, digest); err == nil && ok && good {
			if old = rec; rec.fresh(r.opts.Now()) {
				return r.remember(rec).key(), nil
			}
		}
	}
	key, err := r.read(ctx, digest)
	if errors.Is(err, ErrUnavailable) && old.usable(r.opts.Now()) { // another replica has read it
		return r.remember(old).key(), nil
	}
	return key, err
}

// read asks the store and fills the caches.
func (r *Resolver) read(ctx context.Context, digest string) (ledger.Key, error) {
	at := r.opts.Now()
	key, err := r.opts.Store.KeyByDigest(ctx, digest)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		r.known.remove(digest)
		r.unknown.put(digest, func(time.Time, bool) time.Time { return at })
		return ledger.Key{}, ErrUnknown
	case err != nil:
		return ledger.Key{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	rec := r.remember(newRecord(key, at))
	if r.opts.Cache != nil {
		// What the cache does not take is read again from the store; the answer does not depend on it.
		_ = r.opts.Cache.Set(ctx, cacheKey(digest), rec.encode(), MaxAgeAway)
	}
	return rec.key(), nil
}

// remember keeps a row in the local cache unless one that was read later is there, and answers the one that is.
func (r *Resolver) remember(rec record) record {
	r.unknown.remove(rec.Digest)
	return r.known.put(rec.Digest, func(old record, ok bool) record {
		if ok && old.ReadAt > rec.ReadAt {
			return old
		}
		return rec
	})
}
