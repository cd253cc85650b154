package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/server/address"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// defaultBodyBytes is the largest body of a key without a tier.
const defaultBodyBytes = 32 << 20

// Scopes of a key, as api/v1alpha1.KeyScope spells them.
const (
	scopeInference = "Inference"
	scopeUsage     = "Usage"
)

// demoAccount stands for everybody in demo mode.
const demoAccount = "demo"

// caller is who asks, and under which terms. It keeps the snapshot that the request began with.
type caller struct {
	x    *snapshot.Index
	key  ledger.Key
	tier *snapshot.Tier // nil: no limits
	// policy is how the account pays; nil: prepaid, in the ordinary way.
	policy *snapshot.CreditPolicy
	// unmetered says that nothing is charged.
	unmetered bool
}

func (c *caller) demo() bool { return c.x.Mode == snapshot.Demo }

// shadow says that limits and credits are only counted.
func (c *caller) shadow() bool { return c.policy != nil && c.policy.Shadow }

func (c *caller) tierName() string {
	if c.tier == nil {
		return ""
	}
	return c.tier.Name
}

func (c *caller) maxBody() int64 {
	if c.tier == nil {
		return defaultBodyBytes
	}
	return c.tier.MaxBodyBytes
}

// caller finds out who asks: 503 where nothing is configured, 401 for a bad key. From then on the answer, whatever it
// becomes, tells where the caller's limits stand.
func (s *Server) caller(w *answer, r *http.Request, rec *observe.Record) (*caller, error) {
	x := s.o.Source.Current()
	if x == nil {
		return nil, errNotConfigured("no configuration has arrived yet.")
	}
	if !s.serves(x) {
		return nil, errNotConfigured("it has no ledger and no key store.")
	}
	key, err := s.authenticate(r, x)
	if err != nil {
		return nil, err
	}
	c := &caller{x: x, key: key}
	rec.Key, rec.Account = key.ID, key.Account
	if err := s.agree(r, c); err != nil {
		return nil, err
	}
	w.before = func() { s.tellLimits(w, r, c) }
	return c, nil
}

// reader finds out who asks something that calls no model. It takes nothing of the caller's limits and asks the admission
// store all the same: that is how a revocation is seen at once. Without the store a key goes on as this replica knows it.
func (s *Server) reader(w *answer, r *http.Request, rec *observe.Record) (*caller, error) {
	c, err := s.caller(w, r, rec)
	if err != nil {
		return nil, err
	}
	if err := s.peek(w, r, c); err != nil && asError(err).Status == http.StatusUnauthorized {
		return nil, err
	}
	return c, nil
}

// agree finds the key's terms. Where its tier or its policy is gone, the key may have another one since this replica read
// it: objects and keys do not travel together.
func (s *Server) agree(r *http.Request, c *caller) error {
	dangling := c.terms()
	if dangling == nil || c.demo() {
		return dangling
	}
	key, err := s.o.Keys.Reload(r.Context(), c.key.Digest)
	if err != nil {
		return keyError(err)
	}
	c.key = key
	if err := usable(key, c.x, s.o.Now()); err != nil {
		return err
	}
	return c.terms()
}

// terms finds the key's tier and policy. A key may name one that is not in this snapshot (yet): then it is not served,
// rather than served without limits.
func (c *caller) terms() error {
	if name := orDefault(c.key.Tier, c.x.DefaultTier); name != "" {
		if c.tier = c.x.Tier(name); c.tier == nil {
			return errNotConfigured("the tier '" + name + "' of this API key is not there.")
		}
	}
	c.unmetered, c.policy = c.demo(), nil
	if name := orDefault(c.key.Policy, c.x.DefaultPolicy); name != "" && !c.demo() {
		p := c.x.Policy(name)
		if p == nil {
			return errNotConfigured("the credit policy '" + name + "' of this API key is not there.")
		}
		c.unmetered, c.policy = p.Unmetered, p
	}
	return nil
}

func orDefault(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// model finds a model that this caller may use, by public name or alias: 404, 403.
func (c *caller) model(name string) (*snapshot.Model, error) {
	m := c.x.Model(name)
	if m == nil || !listed(m) {
		return nil, errModelNotFound(name)
	}
	return m, c.allowed(m)
}

// allowed says whether the tier and the key itself let this caller use a model; a key may only narrow its tier.
func (c *caller) allowed(m *snapshot.Model) error {
	if !c.x.Allows(c.tier, m) {
		return errModelNotAllowed(m, "Tier", c.tierName())
	}
	mine := func(name string) bool { return c.x.Model(name) == m }
	if len(c.key.Models) > 0 && !slices.ContainsFunc(c.key.Models, mine) {
		return errModelNotAllowed(m, "APIKey", c.key.Name)
	}
	return nil
}

// may says whether the key has a scope; one without scopes has all.
func (c *caller) may(scope string) error {
	if len(c.key.Scopes) > 0 && !slices.Contains(c.key.Scopes, scope) {
		return errScope(scope, c.key.Name)
	}
	return nil
}

// listed says that clients see the model: it is routable, or there is something to say about why it is not.
func listed(m *snapshot.Model) bool { return m.Unavailable != "" || routable(m) }

// routable says that some backend takes requests.
func routable(m *snapshot.Model) bool {
	return slices.ContainsFunc(m.Backends, func(b snapshot.Backend) bool { return b.Weight > 0 })
}

// authenticate finds the row of the request's key, which must be active as far as this replica knows.
func (s *Server) authenticate(r *http.Request, x *snapshot.Index) (ledger.Key, error) {
	plain := plainKey(r)
	if plain == "" {
		return ledger.Key{}, errKey("invalid_api_key", "none was given. Send it as 'Authorization: Bearer "+keys.LivePrefix+"...'.")
	}
	if x.Mode == snapshot.Demo {
		if err := keys.ParseDemo(plain); err != nil {
			return ledger.Key{}, keyError(err)
		}
		return ledger.Key{ID: demoAccount, Digest: keys.Digest(plain), Account: demoAccount, State: ledger.KeyActive, Version: 1}, nil
	}
	key, err := s.o.Keys.Authenticate(r.Context(), plain, address.Client(r, x.ClientIP.Header, x.TrustedProxy))
	if errors.Is(err, keys.ErrExpired) || err == nil && (key.State == ledger.KeyDisabled || key.Expired(s.o.Now())) {
		// It may be enabled again, or last longer, since this replica read it.
		key, err = s.o.Keys.Reload(r.Context(), key.Digest)
	}
	if err != nil && !errors.Is(err, keys.ErrExpired) {
		return ledger.Key{}, keyError(err)
	}
	if bad := usable(key, x, s.o.Now()); bad != nil || err == nil {
		return key, bad
	}
	return ledger.Key{}, keyError(err)
}

// usable says whether a row lets requests in: it is active, has not expired, and belongs to this gateway.
func usable(key ledger.Key, x *snapshot.Index, now time.Time) error {
	switch {
	case key.GatewayUID != x.GatewayUID:
		return keyError(keys.ErrUnknown)
	case key.State == ledger.KeyDisabled:
		return errKey("key_disabled", "it is disabled.")
	case key.State != ledger.KeyActive:
		return errKey("key_revoked", "it has been revoked.")
	case key.Expired(now):
		return errKey("key_expired", "it expired at "+time.UnixMicro(key.ExpiresAt).UTC().Format(time.RFC3339)+".")
	}
	return nil
}

// keyError is what a client hears of an error of the package keys.
func keyError(err error) *chat.Error {
	var e *chat.Error
	switch {
	case errors.Is(err, keys.ErrUnknown):
		e = errKey("invalid_api_key", "there is no such key.")
	case errors.Is(err, keys.ErrExpired):
		e = errKey("key_expired", "it has expired.")
	case errors.Is(err, keys.ErrMalformed), errors.Is(err, keys.ErrReserved):
		e = errKey("invalid_api_key", err.Error()+".")
	case errors.Is(err, keys.ErrThrottled):
		e = &chat.Error{
			Status: http.StatusTooManyRequests, Type: typeRate, Code: "too_many_invalid_keys", RetryAfter: retrySoon,
			Message: "Rate limit exceeded: too many requests with invalid API keys came from this address.",
		}
	default:
		return errStore(err)
	}
	e.Cause = err
	return e
}

// plainKey is the key as a client sent it, in whichever of the usual headers.
func plainKey(r *http.Request) string {
	if token := bearer(r); token != "" {
		return token
	}
	if key := r.Header.Get("Api-Key"); key != "" {
		return strings.TrimSpace(key)
	}
	return strings.TrimSpace(r.Header.Get("X-Api-Key"))
}

// bearer is the token of an Authorization header of that scheme.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
