package server

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// defaultBodyBytes is the largest body of a key without a tier.
const defaultBodyBytes = 32 << 20

// demoAccount stands for everybody in demo mode.
const demoAccount = "demo"

// caller is who asks, and under which terms. It keeps the snapshot that the request began with.
type caller struct {
	x    *snapshot.Index
	key  ledger.Key
	tier *snapshot.Tier // nil: no limits
	// unmetered says that nothing is charged.
	unmetered bool
}

func (c *caller) demo() bool { return c.x.Mode == snapshot.Demo }

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

// caller finds out who asks: 503 where nothing is configured, 401 for a bad key.
func (s *Server) caller(r *http.Request, rec *observe.Record) (*caller, error) {
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
	return c, c.terms()
}

// terms finds the key's tier and policy. A key may name one that is not in this snapshot (yet): then it is not served,
// rather than served without limits.
func (c *caller) terms() error {
	if name := orDefault(c.key.Tier, c.x.DefaultTier); name != "" {
		if c.tier = c.x.Tier(name); c.tier == nil {
			return errNotConfigured("the tier '" + name + "' of this API key is not there.")
		}
	}
	c.unmetered = c.demo()
	if name := orDefault(c.key.Policy, c.x.DefaultPolicy); name != "" && !c.demo() {
		p := c.x.Policy(name)
		if p == nil {
			return errNotConfigured("the credit policy '" + name + "' of this API key is not there.")
		}
		c.unmetered = p.Unmetered
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
	if m == nil || !routable(m) {
		return nil, errModelNotFound(name)
	}
	if !c.x.Allows(c.tier, m) {
		return nil, errModelNotAllowed(m, c.tierName())
	}
	return m, nil
}

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
	key, err := s.o.Keys.Authenticate(r.Context(), plain, remoteIP(r))
	if err == nil && key.State == ledger.KeyDisabled {
		// It may be enabled again since this replica read it.
		key, err = s.o.Keys.Reload(r.Context(), key.Digest)
	}
	if err != nil {
		return ledger.Key{}, keyError(err)
	}
	return key, usable(key, x)
}

// usable says whether a row lets requests in: it is active and belongs to this gateway.
func usable(key ledger.Key, x *snapshot.Index) error {
	switch {
	case key.GatewayUID != x.GatewayUID:
		return keyError(keys.ErrUnknown)
	case key.State == ledger.KeyDisabled:
		return errKey("key_disabled", "it is disabled.")
	case key.State != ledger.KeyActive:
		return errKey("key_revoked", "it has been revoked.")
	}
	return nil
}

// keyError is what a client hears of an error of the package keys.
func keyError(err error) *chat.Error {
	var e *chat.Error
	switch {
	case errors.Is(err, keys.ErrUnknown):
		e = errKey("invalid_api_key", "there is no such key.")
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

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
