// Package admit decides, in one Redis script, whether a request may run: key state, rate limits, credit hold, all or
// nothing. Every check comes before any write, and a refusal changes no key. Nothing in Redis is ever incremented back:
// each write is idempotent by request id or fenced by version.
//
// Holds belong to an owner, the process that made them (Options.Owner), as long as it renews its lease: Sync makes the store's
// holds those that it knows of, whatever the store has lost or brought back, and Orphans answers what the dead left behind.
// All keys of an account are in one slot of a cluster; leases and the owners' lists of accounts are in that of the epoch.
package admit

import (
	"cmp"
	"context"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
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
	// Meter is under what the key's rates, slots and cap are counted, which keys that are one to their owner have in common (ledger.Key.Meter);
	// empty: KeyDigest. It is what Finish, Confirmation and whatever else comes after the admission call KeyDigest.
	Meter string
	// Rates are the tier's limits, enforced for each key, each unit at most once.
	Rates []Rate
	// MaxConcurrent is how many requests of the key may be in flight; 0: any number. A slot is a lease of the hold: it
	// ends with Finish, Confirm, Release or HoldFor.
	MaxConcurrent int64
	// Cap bounds what the key may spend in a calendar window; nil: nothing does. Not checked with Unmetered.
	Cap *Cap
	// Hold is the worst case in nano-USD; 0 with Unmetered.
	Hold pricing.Nano
	// Expected, at most Hold, is held instead where Healthy nano-USD, at least Hold, are free. Healthy 0: never.
	Expected, Healthy pricing.Nano
	// Floor, at most Hold, is the least that is worth admitting: where Hold does not fit, but Floor does, all that is free is
	// held; Decision.Held says how much. 0: Hold fits or the request is refused.
	Floor pricing.Nano
	// Overdraft in nano-USD is how far below zero this request may bring the account, beside what the copy allows.
	Overdraft pricing.Nano
	// LedgerAway says that the ledger cannot be reached: copies of keys and accounts may then be AwayAge old, and all that is held,
	// which is all that was spent since, stays below AwayMost and half of what may be spent.
	LedgerAway bool
	// Record is stored in the hold until Finish brings the real one, at most MaxRecord bytes that only the caller reads: what is
	// known of a request that nobody finishes. Not stored without an owner.
	Record []byte
	// Shadow counts and reports (Decision.Would), and refuses nothing but keys that are disabled or revoked, and suspended accounts.
	Shadow bool
	// Unmetered skips the credit check.
	Unmetered bool
	// HoldFor bounds the life of the request: its slot, its decision and, without an owner, its hold end with it.
	HoldFor time.Duration
}

// Rate is one limit and what this request takes of it.
type Rate struct {
	Unit  snapshot.Unit
	Value int64
	// Burst is the size of the bucket for the units a minute.
	Burst int64
	// Cost is 1 for requests, the estimate for tokens; the script caps it at the bucket's size, or a first large request
	// could never pass. Finish corrects it.
	Cost int64
}

// Cap is a spend cap of one key. Spent in the window is a copy of the ledger's, as the balance is; holds of the key count.
type Cap struct {
	Amount pricing.Nano
	// Period is "Day" or "Month", UTC. The script takes its window from Redis TIME: see Decision.Window.
	Period string
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
	// AccountSuspended: the account is suspended (Copy.Suspended), whatever else, also where nothing is refused (Request.Shadow) or charged.
	AccountSuspended
	// RateLimited: a limit of Rates; Refusal says which, RetryAfter when the same request passes.
	RateLimited
	// TooManyConcurrent: MaxConcurrent requests of the key are in flight.
	TooManyConcurrent
	// ReloadAccount: Redis does not know the account, it has changed by the clock since (Copy.Next), or nothing was told of it for
	// AwayAge: read it, LoadAccount, try again.
	ReloadAccount
	// ReloadCap: Redis does not know what the key has spent in Decision.Window: read it, LoadSpend, try again.
	ReloadCap
	// CapReached: what the key has spent and holds, and this hold, exceed its cap. The caller reads the ledger once more before it refuses.
	CapReached
	// InsufficientCredits: Available < Hold. The caller reads the ledger once more (a grant may be newer than the copy) before it refuses.
	InsufficientCredits
	// LedgerAway: the request says so (Request.LedgerAway), and the copy of the account is too old, or too much is held; else it
	// would have been admitted.
	LedgerAway
	// UnknownHold: no running request has this id (Extend alone).
	UnknownHold
	join // the account is not yet on the owner's list
)

// Limit is the state of the tightest request limit after the decision; Limit 0: there is none.
type Limit struct {
	// Limit is the rule's value; Remaining is how many more may come at once now.
	Limit, Remaining int64
	// Reset is how long until the whole burst, or the next day, is there.
	Reset time.Duration
}

// Refusal says which rule refused, in its own unit: requests, tokens, running requests, or nano-USD.
type Refusal struct {
	// Rule is a snapshot.Unit, "MaxConcurrentRequests", "SpendCap" or "Credits".
	Rule string
	// Limit, and Used before this request.
	Limit, Used int64
	// Reset is when the rule has its whole room again, as far as time alone gives it; 0: not by time.
	Reset time.Duration
}

// Decision answers a Request. Its numbers are the script's own.
type Decision struct {
	Outcome Outcome
	// Requests is the tightest request limit, Tokens the tightest token limit, after the decision.
	Requests, Tokens Limit
	// Refusal is set with RateLimited, TooManyConcurrent, CapReached and InsufficientCredits.
	Refusal    Refusal
	RetryAfter time.Duration // exact; callers round up for Retry-After
	// Window is the start of the cap's window at Now, Unix seconds; 0 without a cap.
	Window int64
	// Now is Redis TIME at the decision.
	Now time.Time
	// Spendable is the copy of the balance and Request.Overdraft, Reserved the sum of the holds before this one; both nano-USD.
	Spendable, Reserved pricing.Nano
	// Held is what this request holds, Fits the most that it could, by cap and credits; both nano-USD, 0 where nothing is metered.
	Held, Fits pricing.Nano
	// Fallback says that the ledger and this replica alone decided, because the admission store is away.
	Fallback bool
	// Would is the first refusal that Shadow only counted; Admitted: there was none. Refusal and RetryAfter tell of it.
	Would Outcome
}

// TiedUp says whether credits are missing only while others run (429), or for good (402): required, which is the request's
// Hold or, with one, its Floor, is there but for what is reserved.
func (d Decision) TiedUp(required pricing.Nano) bool { return d.Spendable >= required }

// Available is what is neither spent nor reserved, in nano-USD; below zero after overspend.
func (d Decision) Available() pricing.Nano { return d.Spendable - d.Reserved }

// Extension asks for a larger hold of a running request.
type Extension struct {
	RequestID, Account, KeyDigest string
	// Meter as in Request.
	Meter string
	// To is the whole new amount, in nano-USD, so that asking twice is asking once. What is less than the hold changes nothing.
	To pricing.Nano
	// Cap, Overdraft and LedgerAway as in Request.
	Cap        *Cap
	Overdraft  pricing.Nano
	LedgerAway bool
}

// Counted is under what the request is counted: Meter, or the digest of a key that is counted alone.
func (q Request) Counted() string { return cmp.Or(q.Meter, q.KeyDigest) }

// Counted is as that of Request.
func (e Extension) Counted() string { return cmp.Or(e.Meter, e.KeyDigest) }

// How long, and for how much of each account, admission goes on without the ledger; with it, no longer without asking.
const (
	AwayAge               = 15 * time.Minute
	AwayMost pricing.Nano = 50_000_000_000
)

// MaxRecord bounds Request.Record and Finish.Record, in bytes.
const MaxRecord = 1024

// Copy is a committed row of an account, read just now.
type Copy struct {
	Account string
	// Spendable in nano-USD is what may be spent (ledger.Account.Spendable).
	Spendable pricing.Nano
	Version   int64
	// Next is when the account changes by the clock, in microseconds since the Unix epoch (ledger.Ledger.Current): from then on
	// an admission asks to have it loaded again. 0: never.
	Next int64
	// Suspended says that the account's requests are refused (ledger.Account.Suspended).
	Suspended bool
}

// Confirmation says that a request's settlement is committed and what the account was after it. Version 0 knows no
// account: then it only takes the hold away, as Release.
type Confirmation struct {
	RequestID string
	Account   string
	Balance   pricing.Nano
	Version   int64
	// Suspended as in Copy, of the same row.
	Suspended bool
	// KeyDigest and Spends copy what the key has spent in its windows after the settlement; may be empty.
	KeyDigest string
	Spends    []Spend
}

// Spend is what a key has spent in one calendar window, as a committed row says. It only grows.
type Spend struct {
	Period string // Day or Month
	Window int64  // its start, Unix seconds
	Spent  pricing.Nano
}

// Finish says what a request really took: the hold becomes the actual cost, its concurrency slot is free, token buckets
// are corrected by what was estimated. The hold stays until Confirm.
type Finish struct {
	RequestID, Account, KeyDigest string
	Actual                        pricing.Nano
	InputTokens, OutputTokens     int64 // InputTokens without what was read from a cache
	// Record is the whole settlement, at most MaxRecord bytes that only the caller reads. It is stored in the hold, if that has
	// an owner: whoever reaps it posts this row.
	Record []byte
}

// Admitter is the interface behind which Redis, and later the fallback in SQL, stands. All methods are idempotent. An
// error means that the store could not answer: the caller refuses with 503, never admits.
type Admitter interface {
	Admit(ctx context.Context, r Request) (Decision, error)
	// Finish is idempotent by request id; an unknown id changes nothing.
	Finish(ctx context.Context, f Finish) error
	// LoadSpend copies what a key has spent in a window, read just now; a smaller amount of the same window does not win over
	// a copy that was renewed of late.
	LoadSpend(ctx context.Context, account, digest string, s Spend) error
	// Preview answers what Admit would, and writes nothing.
	Preview(ctx context.Context, r Request) (Decision, error)
	// Confirm takes away the holds of settled requests and moves the copies of their accounts forward, never back.
	Confirm(ctx context.Context, cs []Confirmation) error
	// Release takes away the hold of a request that was never sent upstream or whose end costs nothing and has no settlement.
	Release(ctx context.Context, account, requestID string) error
	// LoadAccount copies a committed row, read just now; an older version does not win over a copy that was renewed of late.
	LoadAccount(ctx context.Context, c Copy) error
	// LoadKey copies a key's state, read just now; an older version does not win over a copy that was renewed of late, and
	// nothing wins over a revocation. Loading a revoked or disabled state is how a key is refused by the next request.
	LoadKey(ctx context.Context, account, digest, state string, version int64) error
	// Ping answers whether the store is there.
	Ping(ctx context.Context) error
}

// Extender makes holds larger while their requests run. The outcomes are Admitted, UnknownHold, ReloadAccount, ReloadCap,
// AccountSuspended, CapReached, InsufficientCredits and LedgerAway; no refusal changes anything.
type Extender interface {
	Extend(ctx context.Context, e Extension) (Decision, error)
}

// Claims keeps a request from being run twice: whoever claims a name first has it, until it is given up or keep has passed.
type Claims interface {
	// Claim answers the request that has the name of an account: requestID, where it had nobody (or is asked again).
	Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (holder string, err error)
	// GiveUp gives up a claim, if this request has it.
	GiveUp(ctx context.Context, account, name, requestID string) error
}

// Adopter takes over holds that another store admitted while this one was away: they are this process's, and Sync writes them.
type Adopter interface {
	// Adopt notes a hold, without asking the store; Finish, Extend, Confirm and Release then act on it as on any other.
	Adopt(h Adopted)
}

// Adopted is such a hold.
type Adopted struct {
	RequestID, Account, KeyDigest string
	Amount                        pricing.Nano
	// At is when it was admitted, Until when its slot ends at the latest.
	At, Until time.Time
	Record    []byte
}

// Orphan is a hold of an owner whose lease is gone.
type Orphan struct {
	Owner, Account, RequestID, KeyDigest string
	// Amount is what the request cost where Finished, else what it held; nano-USD.
	Amount   pricing.Nano
	Finished bool
	// Record is what Finish stored, where Finished, else what Admit did.
	Record []byte
	// At is when the request was admitted, by the store's clock.
	At time.Time
}

// Owner is what a process does beside its requests so that its holds neither end by time nor leak: Keep, or its steps
// one by one.
type Owner interface {
	// Keep renews the lease and runs Sync when it is due, until the context ends.
	Keep(ctx context.Context, tell func(error))
	// Renew renews the lease; a lost one begins anew, under another name.
	Renew(ctx context.Context) error
	// Sync makes the store's holds those of this process, on every account that it has used of late.
	Sync(ctx context.Context) error
	// Orphans answers holds of owners whose lease is gone, about so many at most. The caller posts them, those that are Finished as
	// the settlements that they are (an orphan's charge may stand already, and is then adjusted), then confirms them; until then
	// they come again, in another pass. It looks at a bounded part of what the dead left; more says that the pass is not at its end,
	// and that the next call goes on with it.
	Orphans(ctx context.Context, p *Pass, most int) (found []Orphan, more bool, err error)
	// Owners is how many leases lived when this process last renewed its own; 0: not yet.
	Owners() int64
}

var (
	_ Admitter = (*Redis)(nil)
	_ Extender = (*Redis)(nil)
	_ Claims   = (*Redis)(nil)
	_ Adopter  = (*Redis)(nil)
	_ Owner    = (*Redis)(nil)
)
