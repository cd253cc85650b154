package admit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/singleflight"
)

// Defaults of Options.
const (
	DefaultTimeout = time.Second
	DefaultIdle    = 24 * time.Hour
	DefaultKeyAge  = time.Minute
	DefaultLease   = 30 * time.Second
	DefaultSync    = 30 * time.Second
)

// Options says which store (Redis 6.2 to 8.2 or Valkey 9.1, alone or a cluster, `noeviction`) and how patient to be with it.
type Options struct {
	// URL is redis://[user:password@]host:port[/db] or rediss:// for TLS; more nodes of a cluster as ?addr=host:port.
	URL string
	// TLS replaces what rediss:// means by default (TLS 1.2 and the system's authorities); nil: the default.
	TLS *tls.Config
	// Timeout bounds dialling and each call; 0: DefaultTimeout.
	Timeout time.Duration
	// Idle is how long the copy of an account or a key lives after it was last loaded or confirmed; 0: DefaultIdle. After
	// it the caller is asked to load it again. A revoked key's tombstone has no end.
	Idle time.Duration
	// KeyAge is how old the copy of a key may be to admit a request; 0: DefaultKeyAge. Where Redis loses a change of a key
	// unnoticed, the change acts after this time. Where the ledger was set back, or another one is in its place, its older
	// rows win over copies that nobody has renewed for so long.
	KeyAge time.Duration
	// Owner names this start of this process, without spaces: pod UID and boot id. Holds then belong to it, not to their time, and
	// whoever sets it runs Keep. Empty: holds end by time.
	Owner string
	// Lease is how long an owner is taken to live after it was last heard; 0: DefaultLease. It is renewed three times in that.
	Lease time.Duration
	// SyncEvery is how often an owner's holds are compared with the store's; 0: DefaultSync.
	SyncEvery time.Duration
}

// client turns Options into the driver's own.
func (o Options) client() (rueidis.ClientOption, error) {
	opt, err := rueidis.ParseURL(o.URL)
	if err != nil {
		return opt, fmt.Errorf("parsing the redis URL: %w", redact(err))
	}
	if o.TLS != nil && opt.TLSConfig != nil {
		name := opt.TLSConfig.ServerName
		if opt.TLSConfig = o.TLS.Clone(); opt.TLSConfig.ServerName == "" {
			opt.TLSConfig.ServerName = name
		}
	}
	// Client-side caching needs CLIENT TRACKING, which the embedded store does not have.
	opt.DisableCache = true
	opt.Dialer = net.Dialer{Timeout: o.Timeout}
	opt.ConnWriteTimeout = max(o.Timeout, time.Second)
	return opt, nil
}

// redact takes the URL, which may hold a password, out of an error of url.Parse.
func redact(err error) error {
	var broken *url.Error
	if errors.As(err, &broken) {
		return errors.New("not a URL")
	}
	return err
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.KeyAge <= 0 {
		o.KeyAge = DefaultKeyAge
	}
	if o.Lease <= 0 {
		o.Lease = DefaultLease
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = DefaultSync
	}
	return o
}

// ErrClosed says that the Admitter was used after Close.
var ErrClosed = errors.New("admission store is closed")

// Redis is the Admitter on a Redis, and the small cache beside it. It connects when it is first used, so that a replica
// starts while Redis is away. All methods are safe for concurrent use.
//
// A request id is good for one hold: from its admission until HoldFor has passed its decision is kept, also after Confirm
// or Release, and the same id again is answered with it and holds nothing more.
type Redis struct {
	opts    Options
	driver  rueidis.ClientOption // without InitAddress: no URL yet
	dialing singleflight.Group
	onClose func()
	cluster atomic.Bool // the store is one
	epoch   epoch
	owner   *owner // nil without Options.Owner

	admitScript *rueidis.Lua

	mu      sync.RWMutex
	client  rueidis.Client
	closed  bool
	pointed int // how often driver became another
}

// NewRedis checks the options; it does not connect.
func NewRedis(o Options) (*Redis, error) {
	r, err := NewLate(o)
	if err == nil {
		err = r.Point(o.URL)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Close ends the connections, and the server of an embedded store.
func (r *Redis) Close() {
	r.mu.Lock()
	client, done := r.client, r.closed
	r.client, r.closed = nil, true
	r.mu.Unlock()
	if done {
		return
	}
	if client != nil {
		client.Close()
	}
	if r.onClose != nil {
		r.onClose()
	}
}

// InProcess says that the store is in this process (Embedded): it is never away, and a late answer is this process' own stall.
func (r *Redis) InProcess() bool { return r.onClose != nil }

// Ping answers whether the store is there.
func (r *Redis) Ping(ctx context.Context) error {
	return r.do(ctx, "pinging", func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Ping().Build()).Error()
	})
}

// Client answers the driver's client, made when it is first needed, for whoever keeps other things in the same store. It may be
// closed at any time, after a failover for instance: ask for it each time.
func (r *Redis) Client(ctx context.Context) (rueidis.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	return r.connect(ctx)
}

// do runs one call under the deadline. A store that loads its data, or that is no longer, or not yet, the one to write to, is
// asked again until then: every call may be made twice. A context that has ended asks nothing, and waits for nothing.
func (r *Redis) do(ctx context.Context, what string, call func(context.Context, rueidis.Client) error) error {
	if err := ctx.Err(); err != nil { // the driver looks at it only when it has a connection
		return fmt.Errorf("%s in redis: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	for said := error(nil); ; {
		c, err := r.connect(ctx)
		if err == nil {
			err = call(ctx, c)
		}
		if err == nil {
			return nil
		}
		passes, elsewhere := passing(err)
		if elsewhere {
			r.drop(c)
		}
		if !passes || !rest(ctx, askAgain) {
			if ctx.Err() != nil {
				err = errors.Join(err, said) // why there was no time left
			}
			return fmt.Errorf("%s in redis: %w", what, err)
		}
		said = err
	}
}

// askAgain is the pause before a store that is not ready is asked again.
const askAgain = 20 * time.Millisecond

// passing says whether an error is one of a store that is not ready, and whether another may be behind the same address:
// after a failover the old primary refuses to be written (scripts of Redis 6 say so inside an error of their own).
func passing(err error) (passes, elsewhere bool) {
	if errors.Is(err, rueidis.ErrClosing) { // another call dropped the client
		return true, false
	}
	var said *rueidis.RedisError
	if !errors.As(err, &said) {
		return false, false
	}
	text := said.Error()
	if strings.Contains(text, "READONLY ") {
		return true, true
	}
	for _, prefix := range []string{"LOADING ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "NOSCRIPT "} {
		if strings.HasPrefix(text, prefix) {
			return true, false
		}
	}
	return false, false
}

// rest waits; false when the context ends first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// drop ends the connections of a client, so that the next call dials anew; those under way end with an error.
func (r *Redis) drop(c rueidis.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == c {
		r.client = nil
		c.Close()
	}
}

// connect answers the client, made by whoever comes first. Others wait for the same dial, each under its own deadline.
func (r *Redis) connect(ctx context.Context) (rueidis.Client, error) {
	r.mu.RLock()
	client, closed := r.client, r.closed
	r.mu.RUnlock()
	switch {
	case closed:
		return nil, ErrClosed
	case client != nil:
		return client, nil
	}
	dialled := r.dialing.DoChan("", r.dial)
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("connecting: %w", ctx.Err())
	case d := <-dialled:
		if d.Err != nil {
			return nil, fmt.Errorf("connecting: %w", d.Err)
		}
		return d.Val.(rueidis.Client), nil
	}
}

func (r *Redis) dial() (any, error) {
	r.mu.RLock()
	client, driver, pointed := r.client, r.driver, r.pointed
	r.mu.RUnlock()
	switch {
	case client != nil:
		return client, nil
	case len(driver.InitAddress) == 0:
		return nil, ErrNoURL
	}
	client, err := rueidis.NewClient(driver)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		client.Close()
		return nil, ErrClosed
	case r.pointed != pointed:
		client.Close()
		return nil, rueidis.ErrClosing // ask again
	}
	r.client = client
	r.shaped(client.Mode() == rueidis.ClientModeCluster)
	return client, nil
}

// shaped notes whether the store is a cluster, of which the epoch tells for one node alone: then what Keep has heard of it is
// enough for as long as a lease, and a node that hangs does not keep admissions from the others.
func (r *Redis) shaped(cluster bool) {
	r.cluster.Store(cluster)
	patience := time.Duration(0)
	if cluster && r.owner != nil {
		patience = r.opts.Lease
	}
	r.epoch.patience.Store(int64(patience))
}

// Get answers a cached value; ok is false where there is none.
func (r *Redis) Get(ctx context.Context, key string) (value string, ok bool, err error) {
	err = r.do(ctx, "reading a cached value", func(ctx context.Context, c rueidis.Client) error {
		v, err := c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
		if rueidis.IsRedisNil(err) {
			return nil
		}
		value, ok = v, err == nil
		return err
	})
	return value, ok, err
}

// Set caches a value for ttl, which is at least a millisecond.
func (r *Redis) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	return r.do(ctx, "caching a value", func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Set().Key(key).Value(value).PxMilliseconds(max(1, ttl.Milliseconds())).Build()).Error()
	})
}

// Del takes a cached value away.
func (r *Redis) Del(ctx context.Context, key string) error {
	return r.do(ctx, "dropping a cached value", func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Del().Key(key).Build()).Error()
	})
}

// decimal writes an integer as the scripts read it.
func decimal[T ~int64 | ~int](n T) string { return strconv.FormatInt(int64(n), 10) }
