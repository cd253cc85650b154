// Package ledger is the truth in SQL: accounts, keys, grants, settlements, as an append-only double-entry ledger. One
// implementation of each operation for PostgreSQL (pgx) and SQLite (modernc.org/sqlite), one test suite on both.
//
// Money is int64 nano-USD. Instants are microseconds since the Unix epoch, UTC. Every operation is idempotent by an id
// that its caller makes, so that trying again after a lost answer is always safe.
package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// Errors that callers tell apart with errors.Is. Anything else means that the store could not answer.
var (
	// ErrNotFound: no such key, account or row.
	ErrNotFound = errors.New("not found")
	// ErrConflict: an id was used before with other content, or a digest belongs to another object.
	ErrConflict = errors.New("conflict")
	// ErrOwned: the row belongs to an object or a manifest; only whoever declares that may change it.
	ErrOwned = errors.New("the key belongs to an object")
	// ErrSchema: the database's schema is older than this build needs; run `layers migrate`.
	ErrSchema = errors.New("schema is not migrated")
)

// KeyState is the state of a key's row.
type KeyState string

// Key states. A revoked key never comes back: its digest stays as a tombstone.
const (
	KeyActive   KeyState = "active"
	KeyDisabled KeyState = "disabled"
	KeyRevoked  KeyState = "revoked"
)

// Sources of keys that no object declares.
const (
	SourceConsole = "console"
	SourceCLI     = "cli"
)

// Scopes of keys.
const (
	ScopeInference = "Inference" // calls models and estimates
	ScopeUsage     = "Usage"     // reads receipts of the account
)

// Key is one row of api_keys. The plain key is nowhere.
type Key struct {
	// ID is the row's id: "key_" + UUIDv7, made by the store.
	ID string
	// Digest is the SHA-256 of the plain key in lower-case hex; unique.
	Digest string
	// Prefix is the beginning of the plain key, for people; empty for a declared digest.
	Prefix string
	// Name is for people: "namespace/name" of the object.
	Name string
	// Account is the id of the account that pays: "namespace/account".
	Account string
	// Tier and Policy are "namespace/name"; empty: the gateway's defaults.
	Tier, Policy string
	// UserID is whose key it is, a row of users; empty for keys of objects.
	UserID string
	// Scopes are what the key may do ("Inference", "Usage"); empty: all. Models narrows the tier's models; empty: all of them.
	Scopes, Models []string
	// CapAmount in nano-USD bounds what the key spends in CapPeriod ("Day" or "Month", UTC); 0: no cap.
	CapAmount pricing.Nano
	CapPeriod string
	// ExpiresAt in microseconds; 0: never. From this instant on the key is refused, though State stays what it is. A rotation
	// sets it on the key before, to the end of the overlap.
	ExpiresAt int64
	// Rotation is the object's rotation that this key was made for; 0: a declared digest.
	Rotation int64
	// FirstDigest is the digest of the key that this one was rotated from, or that one from, and so on; empty: it is the first, or
	// an object's.
	FirstDigest string
	// State, and Version, which grows with every change of the row that matters to admission, and is no less than the
	// microseconds of that change: what another ledger, or this one before it was restored, has told is older.
	State   KeyState
	Version int64
	// Source is "kubernetes", "manifest", "console" or "cli"; the UIDs and ObjectName say whose row it is.
	Source     string
	ClusterUID string
	GatewayUID string
	ObjectUID  string
	ObjectName string // namespace/name
}

// Owned says that the row belongs to an object or a manifest, so that only that may change it.
func (k Key) Owned() bool { return k.ObjectName != "" }

// Meter is under what a key is counted: it has the form of a digest, and keys that are one to their owner have it in common, so that a
// rotation begins no cap and no limit anew. These are the keys of one object, by its name, and those that were rotated from
// one another.
func (k Key) Meter() string {
	if !k.Owned() {
		return cmp.Or(k.FirstDigest, k.Digest)
	}
	sum := sha256.Sum256([]byte("object\x00" + k.Source + "\x00" + k.ClusterUID + "\x00" + k.ObjectName))
	return hex.EncodeToString(sum[:])
}

// Expired says whether the key's time is over.
func (k Key) Expired(now time.Time) bool { return k.ExpiresAt != 0 && now.UnixMicro() >= k.ExpiresAt }

// NewKey is a key that no object declares: the console's or the command line's. Its account and its user are made if they
// are not there.
type NewKey struct {
	Digest, Prefix, Name, Account, Tier, Policy, UserID string
	Scopes, Models                                      []string
	CapAmount                                           pricing.Nano
	CapPeriod                                           string
	ExpiresAt                                           int64
	// Source is "console" or "cli"; GatewayUID is the gateway that the key is for.
	Source, GatewayUID string
}

// Account is one row of accounts.
type Account struct {
	ID string
	// Balance in nano-USD is what may be spent (may be negative).
	Balance pricing.Nano
	// Version grows with every change of the balance, the overdraft or the status, as that of a key does.
	Version int64
	// Overdraft in nano-USD is how far below zero admission may let the balance go.
	Overdraft pricing.Nano
	// Suspended says that its requests are refused (AccountSuspended). What it was served is charged all the same.
	Suspended bool
}

// Spendable is what admission may let an account spend.
func (a Account) Spendable() pricing.Nano { return a.Balance + a.Overdraft }

// KeyUpsert declares what the row of one object's digest must be. An object may have several live rows, one a digest: when
// its digest changes, the caller finds the old row with KeysByObject and revokes it.
type KeyUpsert struct {
	Key
	// FirstGrant in nano-USD is posted once, in the same transaction, when this call makes the account (0: none). Its
	// idempotency key is "first:" + account. What remains of it goes FirstGrantDays days after that; 0: never.
	FirstGrant     pricing.Nano
	FirstGrantDays int32
}

// Evidence says how sure the usage is.
type Evidence string

// Evidences.
const (
	EvidenceReported  Evidence = "reported"
	EvidenceEstimated Evidence = "estimated"
	EvidenceFree      Evidence = "free" // failed and empty answers
	// EvidenceOrphan: nobody finished the request, its owner is gone. It is charged the floor that its policy declares; if it is
	// settled after all, the difference is posted once, as "adjust:" + RequestID, and the row says what is true.
	EvidenceOrphan Evidence = "orphan"
)

// What orphans are charged, as api/v1alpha1 spells them.
const (
	OrphanNone  = "None"  // nothing
	OrphanInput = "Input" // what the input costs, at most the hold
	OrphanHold  = "Hold"  // all that was held
)

// How a stream ended whose client left before its end.
const (
	DisconnectCancelled = "cancelled" // the provider was told to stop, and bills what it had produced
	DisconnectDrained   = "drained"   // the provider bills all of it: the answer was read on to its usage, within bounds
)

// Floor is what an orphan is charged that held so much and whose input costs so much. Unknown policies charge nothing.
func Floor(policy string, held, input pricing.Nano) pricing.Nano {
	switch policy {
	case OrphanInput:
		return max(0, min(input, held))
	case OrphanHold:
		return max(0, held)
	default:
		return 0
	}
}

// Settlement is the end of one request. It is posted as one double-entry transaction (when Charged > 0) and one row of
// usage_logs, both once for each RequestID, whatever happens.
type Settlement struct {
	RequestID  string // req_ + UUIDv7; the idempotency key is "settle:" + RequestID
	Account    string
	KeyID      string
	Model      string // public name
	Provider   string // Provider id
	Backend    string
	UpstreamID string // the provider's own id of the answer, if it gave one
	Usage      pricing.Usage
	Lines      []pricing.Line
	// PriceVersion pins the prices that made Cost.
	PriceVersion string
	// ProviderPrice pins the prices that made ProviderCost, where those are not PriceVersion's.
	ProviderPrice string
	Cost          pricing.Nano // what Cost(usage, price) says
	Charged       pricing.Nano // Cost, or 0 where the account is unmetered or the answer was free
	ProviderCost  pricing.Nano // what the provider asks for it: Cost without markup
	Held          pricing.Nano // what the hold was
	Evidence      Evidence
	OrphanCharge  string // the policy that an orphan was charged by (OrphanNone, ...); empty for all others
	Disconnect    string // how the stream of a client that left ended (DisconnectCancelled, ...); empty: it did not leave
	Status        int    // HTTP status told to the client
	Stream        bool
	StartedAt     int64 // microseconds
	FinishedAt    int64
}

// Settled answers one Settlement: the account after it. Duplicate says that the request had been settled before.
type Settled struct {
	RequestID string
	Account   Account
	Duplicate bool
	// Adjusted says that the request had been settled as an orphan, and that the difference was posted now.
	Adjusted bool
	// Spends is what the key and all others of its Meter have spent in the day and the month of FinishedAt (UTC) after the
	// settlement, for whoever keeps copies; empty where nothing was charged or no key is named.
	Spends []Spend
}

// Receipt is a settlement as it was posted.
type Receipt struct {
	Settlement
	// TxID is the id of its double-entry transaction; empty where nothing was charged.
	TxID string
	// Floor is what was charged before an adjustment, where the request was an orphan first.
	Floor pricing.Nano
}

// Periods of Window, as api/v1alpha1 spells them.
const (
	PeriodDay   = "Day"
	PeriodMonth = "Month"
)

// Window is a calendar window, UTC.
type Window struct {
	Period string
	Start  int64 // Unix seconds
}

// Spend is what a key was charged in a window, by when its requests finished. It only grows.
type Spend struct {
	Window
	Spent pricing.Nano
}

// OutboxItem says that Redis must hear of a key's row as it is now: state, version, expiry or account have changed. It is
// written in the transaction of the change, so that whoever made it may die before telling Redis.
type OutboxItem struct {
	ID     int64
	Digest string
	// Account is under which Redis holds the copy to be replaced; a key that moved has an item for where it was, too.
	Account string
	// GatewayUID is whose Redis it is.
	GatewayUID string
}

// Ledger is what the data plane and the operator need of the store. All methods are safe for concurrent use and honour
// their context.
type Ledger interface {
	// KeyByDigest finds a key, revoked ones too; ErrNotFound.
	KeyByDigest(ctx context.Context, digest string) (Key, error)
	// UpsertKey makes the row of one object so, making the account if need be, and answers the row as it is now; Version
	// moves only if something that matters to admission changed (account, tier, policy, state). ErrConflict: the digest
	// belongs to another object or was revoked. An object made again under its name takes its row over.
	UpsertKey(ctx context.Context, u KeyUpsert) (Key, error)
	// KeysByObject finds the live (not revoked) rows of one object name; there may be none.
	KeysByObject(ctx context.Context, source, clusterUID, objectName string) ([]Key, error)
	// KeysBySource finds the live rows of one cluster, by object name: what a sweep compares with the declared objects.
	KeysBySource(ctx context.Context, source, clusterUID string) ([]Key, error)
	// SweepRows is KeysBySource for one gateway.
	SweepRows(ctx context.Context, source, clusterUID, gatewayUID string) ([]Key, error)
	// RevokeKey ends a key for good and answers its row (version moved on); a second call changes nothing. ErrNotFound.
	// Redis has to be told before and after: keys.Revoke does all of it.
	RevokeKey(ctx context.Context, digest string) (Key, error)

	// KeyByID finds a key by its row's id, revoked ones too; ErrNotFound.
	KeyByID(ctx context.Context, id string) (Key, error)
	// CreateKey makes the row of a key that no object declares; the same again answers the row as it is. ErrConflict: the
	// digest is another key's; ErrOwned: Source is one of objects.
	CreateKey(ctx context.Context, k NewKey) (Key, error)
	// ListKeys finds the keys of an account, empty: of all accounts; revoked and expired ones too, the oldest first.
	ListKeys(ctx context.Context, account string) ([]Key, error)
	// RotateKey makes a new key that has everything of the one of digest, which expires after overlap (or before, if it was
	// to). The same again changes nothing. ErrNotFound; ErrOwned; ErrConflict: the key was revoked, has expired or was
	// rotated to another digest, or newDigest is another key's.
	RotateKey(ctx context.Context, digest, newDigest, newPrefix string, overlap time.Duration) (old, new Key, err error)
	// Gateways answers the UIDs of the gateways that live keys belong to, sorted, at most 100.
	Gateways(ctx context.Context) ([]string, error)
	// PendingOutbox answers the oldest items of one gateway (empty: of all). DoneOutbox takes items away; ids that are not
	// there are none of its business. keys.Deliver is what works them off.
	PendingOutbox(ctx context.Context, gatewayUID string, limit int) ([]OutboxItem, error)
	DoneOutbox(ctx context.Context, ids []int64) error

	// ChangedAccounts answers what a gateway is to hear of accounts behind one, by their ids. DoneAccount notes that it has: Redis has
	// the account as it was read after ChangedAccounts.
	ChangedAccounts(ctx context.Context, gatewayUID, after string, limit int) ([]ChangedAccount, error)
	DoneAccount(ctx context.Context, c ChangedAccount) error

	// Account finds an account; ErrNotFound.
	Account(ctx context.Context, id string) (Account, error)
	// Accounts finds accounts, by their ids; those that are not there are left out.
	Accounts(ctx context.Context, ids []string) ([]Account, error)
	// Grant posts a grant, making the account if need be. ErrConflict: ID was used with another account or amount;
	// ErrLimit: the balance would exceed MaxBalance.
	Grant(ctx context.Context, g Grant) (Account, error)
	// SetOverdraft says how far below zero (nano-USD) admission may let an account go; ErrNotFound.
	SetOverdraft(ctx context.Context, account string, limit pricing.Nano) (Account, error)
	// SetAccountStatus suspends an account, or lets it be served again; the reason stays in the ledger. The same status again
	// changes nothing; ErrNotFound.
	SetAccountStatus(ctx context.Context, account string, status AccountStatus, reason string) (Account, error)
	// Adjust posts a correction by hand, once for each ID; ErrConflict and ErrLimit as for Grant.
	Adjust(ctx context.Context, a Adjustment) (Account, error)
	// Grants answers the grants of an account in the order in which they are drawn, used up ones too, at most 1000.
	Grants(ctx context.Context, account string) ([]GrantState, error)
	// Current posts what of the account's grants is due (expiries, beginnings) and answers the account, and when its grants
	// change next by the clock (microseconds; 0: never): what a copy of the balance needs to know. ErrNotFound.
	Current(ctx context.Context, account string) (Account, int64, error)
	// PostDue does the same for at most limit accounts whose grants are due, and answers those that it changed.
	PostDue(ctx context.Context, limit int) ([]Account, error)
	// Settle posts at most MaxSettle settlements, accounts in id order, in one transaction: all or none. The answer is in the
	// order of the call. An account that is not there is made, so that no charge is lost. What Reserve holds for the requests
	// goes in the same transaction.
	Settle(ctx context.Context, s []Settlement) ([]Settled, error)
	// Receipt finds a settlement of the account; ErrNotFound, also where it is another account's.
	Receipt(ctx context.Context, account, requestID string) (Receipt, error)
	// KeySpends answers what a key, and all others of its Meter, have spent in each window, in the order of the call; 0 where that is
	// nothing.
	KeySpends(ctx context.Context, keyID string, windows []Window) ([]Spend, error)

	// Reserve holds money for a request as one statement on the account's row, for when Redis cannot be reached. The same
	// request again gets the same answer. ErrInsufficient: it does not fit; ErrNotFound: no such account.
	Reserve(ctx context.Context, r Reservation) (Reserved, error)
	// ExtendReservation holds more, by the same check; ErrInsufficient, ErrNotFound (also where it is finished).
	ExtendReservation(ctx context.Context, account, requestID string, more pricing.Nano, divisor int64) (Reserved, error)
	// FinishReservation makes the hold what the request cost and keeps its settlement, until Settle has it. ErrNotFound.
	FinishReservation(ctx context.Context, s Settlement) (Reserved, error)
	// ReleaseReservation takes a hold away, which may not be there.
	ReleaseReservation(ctx context.Context, account, requestID string) error
	// RenewReservations gives the unfinished holds of an owner until an instant (microseconds), and answers how many they are.
	RenewReservations(ctx context.Context, owner string, until int64) (int, error)
	// ExpiredReservations answers at most limit holds whose time is over, the oldest first. Whoever reaps settles each: as its
	// Record if it was Finished, else as its Orphan, which held Amount.
	ExpiredReservations(ctx context.Context, limit int) ([]Reservation, error)
	// Claim answers the request that has a name of an account: requestID, where it had nobody, or nobody any more after keep.
	// GiveUp gives it up, if this request has it. They are what admit.Claims says, for when Redis is away.
	Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (holder string, err error)
	GiveUp(ctx context.Context, account, name, requestID string) error
	// RecentOutput answers how many tokens of output the newest answers of a key and a model had, the newest first, at most so
	// many; none where the account's last few thousand requests have none.
	RecentOutput(ctx context.Context, keyDigest, model string, most int) ([]int64, error)

	// PutPriceVersions stores what versions of prices consist of, each once; ErrConflict: a version is there with another
	// content. PricesOf answers those of a snapshot. PriceVersion reads one; ErrNotFound. PriceVersions reads all.
	PutPriceVersions(ctx context.Context, versions []PriceVersion) error
	PriceVersion(ctx context.Context, version string) (PriceVersion, error)
	PriceVersions(ctx context.Context) ([]PriceVersion, error)
	// DailyUsage answers what an account used on the days (UTC) that begin in [from, to), Unix seconds, by day, key, model
	// and provider.
	DailyUsage(ctx context.Context, account string, from, to int64) ([]Daily, error)

	// CreditsPerDollar pins what a credit is, once for each ledger: it stores want if nothing is stored yet and answers
	// what is stored (0 asks only). The caller refuses to serve where that is not what it was told.
	CreditsPerDollar(ctx context.Context, want int64) (int64, error)
	// Check verifies that entries sum to zero for each transaction and to the balance for each account, that draws and what
	// remains are each grant's amount, that each request was settled once and adjusted at most once, and that roll-ups are what
	// they roll up. It answers what is not so; empty: sound.
	Check(ctx context.Context) ([]string, error)
	// CheckWindow verifies the same of what was posted and finished in a window, and of every account that had entries in it;
	// also that every settlement of it still has its usage row. recost, if it is set, is asked what each request should have cost;
	// StoredPrices is one.
	CheckWindow(ctx context.Context, w Span, recost Recost) ([]string, error)
	// Entries calls fn for every entry that was posted in a window, in the order in which they were.
	Entries(ctx context.Context, w Span, fn func(Entry) error) error
	// ProviderUsage calls fn for every request to a provider (empty: to all) that finished in a window.
	ProviderUsage(ctx context.Context, provider string, w Span, fn func(ProviderRow) error) error
	// MakePartitions makes the months of usage_logs from now on so many ahead, where the database has partitions, and answers
	// how many were missing. It needs no DDL rights.
	MakePartitions(ctx context.Context, months int) (int, error)
	// Migrate brings the schema to this build's version; it needs DDL rights and may be called again.
	Migrate(ctx context.Context) error
	// Ready is nil when the schema is this build's or the next; else ErrSchema.
	Ready(ctx context.Context) error
	Close()
}
