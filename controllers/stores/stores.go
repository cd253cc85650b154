// Package stores keeps the connections to each AIGateway's Redis and ledger: opened from the Secrets that its spec names,
// opened again when their URLs change, closed when the gateway goes. Its controller says StoresReady.
package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// openTimeout bounds opening and migrating; checkTimeout a look at what is open.
const (
	openTimeout  = 30 * time.Second
	checkTimeout = 5 * time.Second
)

// Problem says why a gateway's stores cannot be used, in the words of a condition: no URL, no address, no random text.
type Problem struct {
	Reason, Message string
	// cause is for the log.
	cause error
}

// Error is the message and the cause.
func (p *Problem) Error() string {
	if p.cause == nil {
		return p.Message
	}
	return p.Message + ": " + p.cause.Error()
}

// Unwrap answers the cause.
func (p *Problem) Unwrap() error { return p.cause }

// Stores are one gateway's.
type Stores struct {
	Ledger ledger.Ledger
	Redis  *admit.Redis

	key key
}

// key is what the stores were opened for: another gateway, URL or rate of credits opens them anew.
type key struct {
	gateway       types.UID
	redis, ledger string
	perDollar     int64
}

// Cache holds open stores. It is safe for concurrent use.
type Cache struct {
	Secrets *secrets.Reader
	// Options for the ledgers.
	Options ledger.Options

	mu    sync.Mutex
	slots map[types.NamespacedName]*slot
}

// slot is one gateway's; its lock is held while they are opened, so that two callers do not open them twice.
type slot struct {
	mu     sync.Mutex
	stores *Stores
}

// Get answers the gateway's stores, opening them if need be. Errors are a *Problem, or the API server's. A gateway in
// mode Demo has none: nil.
func (c *Cache) Get(ctx context.Context, gw *v1alpha1.AIGateway) (*Stores, error) {
	if gw.Spec.Redis == nil || gw.Spec.Ledger == nil {
		return nil, nil
	}
	want := key{gateway: gw.UID, perDollar: gw.Spec.Credits.PerDollar}
	var err error
	if want.redis, err = c.url(ctx, gw.Namespace, gw.Spec.Redis.URLSecretRef); err != nil {
		return nil, err
	}
	if want.ledger, err = c.url(ctx, gw.Namespace, gw.Spec.Ledger.URLSecretRef); err != nil {
		return nil, err
	}
	s := c.slot(client.ObjectKeyFromObject(gw))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stores != nil && s.stores.key == want {
		return s.stores, nil
	}
	s.close()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s.stores, err = c.open(ctx, want)
	return s.stores, err
}

// Forget closes the stores of a gateway that is gone.
func (c *Cache) Forget(name types.NamespacedName) {
	c.mu.Lock()
	s := c.slots[name]
	delete(c.slots, name)
	c.mu.Unlock()
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.close()
	}
}

// All are the stores that are open now, by gateway. One whose opening goes on is left out.
func (c *Cache) All() map[types.UID]*Stores {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[types.UID]*Stores{}
	for _, s := range c.slots {
		if s.mu.TryLock() {
			if s.stores != nil {
				out[s.stores.key.gateway] = s.stores
			}
			s.mu.Unlock()
		}
	}
	return out
}

// Close closes all stores.
func (c *Cache) Close() {
	c.mu.Lock()
	names := make([]types.NamespacedName, 0, len(c.slots))
	for name := range c.slots {
		names = append(names, name)
	}
	c.mu.Unlock()
	for _, name := range names {
		c.Forget(name)
	}
}

func (c *Cache) slot(name types.NamespacedName) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		c.slots = map[types.NamespacedName]*slot{}
	}
	if c.slots[name] == nil {
		c.slots[name] = &slot{}
	}
	return c.slots[name]
}

func (s *slot) close() {
	if s.stores != nil {
		s.stores.Ledger.Close()
		s.stores.Redis.Close()
		s.stores = nil
	}
}

// url reads a store's URL as the pods do: files often end in a newline.
func (c *Cache) url(ctx context.Context, namespace string, ref v1alpha1.SecretKeyRef) (string, error) {
	secret, err := c.Secrets.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name})
	if err != nil {
		return "", err
	}
	if secret == nil {
		return "", &Problem{Reason: v1alpha1.ReasonSecretNotFound, Message: fmt.Sprintf("Secret %q does not exist.", ref.Name)}
	}
	url := strings.TrimSpace(string(secret.Data[ref.Key]))
	if url == "" {
		return "", &Problem{Reason: v1alpha1.ReasonSecretKeyMissing, Message: fmt.Sprintf("Secret %q has nothing under key %q.", ref.Name, ref.Key)}
	}
	return url, nil
}

// open connects to both and pins what a credit is. It migrates nothing: a Job does that, with the administrator's URL.
func (c *Cache) open(ctx context.Context, want key) (*Stores, error) {
	redis, err := admit.NewRedis(admit.Options{URL: want.redis})
	if err != nil {
		return nil, &Problem{v1alpha1.ReasonInvalid, "The Redis URL is not usable.", err}
	}
	sql, err := ledger.Open(ctx, want.ledger, c.Options)
	if err != nil {
		redis.Close()
		return nil, &Problem{v1alpha1.ReasonInvalid, "The ledger URL is not usable.", err}
	}
	s := &Stores{Ledger: sql, Redis: redis, key: want}
	if err := s.pin(ctx); err != nil {
		sql.Close()
		redis.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stores) pin(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	have, err := s.Ledger.CreditsPerDollar(ctx, s.key.perDollar)
	if err != nil {
		return &Problem{v1alpha1.ReasonStoreUnavailable, "The ledger cannot be read.", err}
	}
	if have != s.key.perDollar {
		return &Problem{Reason: v1alpha1.ReasonInvalid,
			Message: fmt.Sprintf("The ledger counts %d credits a dollar, the spec says %d.", have, s.key.perDollar)}
	}
	return nil
}

// ready says whether the ledger has the schema of this build.
func (s *Stores) ready(ctx context.Context) error {
	err := s.Ledger.Ready(ctx)
	switch {
	case errors.Is(err, ledger.ErrSchema):
		return &Problem{v1alpha1.ReasonPending, "The ledger is not migrated to the schema of this operator yet.", err}
	case err != nil:
		return &Problem{v1alpha1.ReasonStoreUnavailable, "The ledger cannot be reached.", err}
	}
	return nil
}

// Check looks whether both stores answer; the error is a *Problem.
func (s *Stores) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := s.Redis.Ping(ctx); err != nil {
		return &Problem{v1alpha1.ReasonStoreUnavailable, "Redis cannot be reached.", err}
	}
	return nil
}

// Unavailable makes a *Problem of an error that a store gave in the middle of something; nil stays nil.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &Problem{v1alpha1.ReasonStoreUnavailable, "The ledger or Redis did not answer.", err}
}
