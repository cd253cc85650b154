// Package admit decides, in one Redis script, whether a request may run: key state, rate limits, credit hold, all or
// nothing. Every check comes before any write, and a refusal changes no key. Nothing in Redis is ever incremented back:
// each write is idempotent by request id or fenced by version.
package admit

import (
	"context"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// Key states as the script knows them.
const (
	KeyActive   = "active"
	KeyDisabled = "disabled"
	KeyRevoked  = "revoked"
)

// Request is what one request asks for.
type Request struct {
	// ID is the request's id; the same id again is answered with the stored decision.
	ID string
	// Account is the paying account's id; all keys of one account share one Redis slot.
	Account string
	// KeyDigest and KeyVersion are the key's row as the caller knows it.
	KeyDigest  string
	KeyVersion int64
	// RequestsPerMinute (0: unlimited) and Burst are the tier's, enforced by GCRA for each key.
	RequestsPerMinute int64
	Burst             int64
	// Hold is the worst case in nano-USD; 0 with Unmetered.
	Hold pricing.Nano
	// Unmetered skips the credit check.
	Unmetered bool
	// HoldFor bounds the life of the hold: no request lives longer.
	HoldFor time.Duration
}

// Outcome is what the script decided.
type Outcome int

// Outcomes, in the order in which the script checks.
const (
	// Admitted: the hold is written.
	Admitted Outcome = iota
	// ReloadKey: Redis does not know the key, or knows a newer version than the caller: read it again, LoadKey, try again.
	ReloadKey
	// KeyRefused: the key is disabled or revoked.
	KeyRefused
	// RateLimited: a rate limit; RetryAfter says when the same request passes.
	RateLimited
	// ReloadAccount: Redis does not know the account: read it, LoadAccount, try again.
	ReloadAccount
	// InsufficientCredits: Available < Hold. The caller reads the ledger once more (a grant may be newer than the copy) before it refuses.
	InsufficientCredits
)

// Limit is the state of the tightest request limit after the decision; Limit 0: there is none.
type Limit struct {
	// Limit is the value a minute; Remaining is how many more may come at once now.
	Limit, Remaining int64
	// Reset is how long until the whole burst is there again.
	Reset time.Duration
}

// Decision answers a Request. Its numbers are the script's own.
type Decision struct {
	Outcome    Outcome
	Rate       Limit
	RetryAfter time.Duration // RateLimited: exact; callers round up for Retry-After
	// Now is Redis TIME at the decision.
	Now time.Time
	// Spendable is the copy of the balance, Reserved the sum of the holds before this one; both nano-USD.
	Spendable, Reserved pricing.Nano
}

// Confirmation says that a request's settlement is committed and what the account was after it. Version 0 knows no
// account: then it only takes the hold away, as Release.
type Confirmation struct {
	RequestID string
	Account   string
	Balance   pricing.Nano
	Version   int64
}

// Admitter is the interface behind which Redis, and later the fallback in SQL, stands. All methods are idempotent. An
// error means that the store could not answer: the caller refuses with 503, never admits.
type Admitter interface {
	Admit(ctx context.Context, r Request) (Decision, error)
	// Confirm takes away the holds of settled requests and moves the copies of their accounts forward, never back.
	Confirm(ctx context.Context, cs []Confirmation) error
	// Release takes away the hold of a request that was never sent upstream or whose end costs nothing and has no settlement.
	Release(ctx context.Context, account, requestID string) error
	// LoadAccount copies a committed row; an older version never wins.
	LoadAccount(ctx context.Context, account string, balance pricing.Nano, version int64) error
	// LoadKey copies a key's state; an older version never wins. Loading a revoked or disabled state is how a key is refused by the next request.
	LoadKey(ctx context.Context, account, digest, state string, version int64) error
	// Ping answers whether the store is there.
	Ping(ctx context.Context) error
}
