// Package snapshot is the contract between the two halves of Layers: what the operator (or `layers up`) compiles out of
// the objects, and what a gateway serves from. Plain structs, a codec and a schema version; standard library only.
//
// A Snapshot is immutable once decoded: a request keeps the one it started with.
package snapshot

// SchemaVersion is the version this build writes. A reader takes SchemaVersion and SchemaVersion-1 and ignores unknown
// fields.
const SchemaVersion = 1

// SecretDataKey is the key of the snapshot Secret's data, and the name of the file where that Secret is mounted.
const SecretDataKey = "snapshot.json.gz"

// Mode says whether requests are real.
type Mode string

// Modes.
const (
	// Live honours the declared keys, holds and charges credits.
	Live Mode = "Live"
	// Demo takes any lyr_live_ key, charges nothing and keeps no usage log.
	Demo Mode = "Demo"
)

// Snapshot is everything one AIGateway serves from, but for keys and accounts, which are rows in the ledger.
type Snapshot struct {
	// Schema is the version of this structure.
	Schema int `json:"schema"`
	// Sequence grows by one with every publication; an older one never wins.
	Sequence int64 `json:"sequence"`
	// Hash is the lower-case hex SHA-256 of the content without Sequence and Hash (see ContentHash).
	Hash string `json:"hash"`
	// Gateway names the AIGateway: "namespace/name", or "up" in `layers up`.
	Gateway string `json:"gateway"`
	// GatewayUID is the AIGateway's UID ("up" in `layers up`): keys in the ledger belong to one gateway UID.
	GatewayUID string `json:"gatewayUID"`
	// AllowEmpty says that a snapshot without models is meant; without it such a snapshot never replaces one that has models.
	AllowEmpty bool `json:"allowEmpty,omitempty"`
	// AckToken is the bearer token of the acknowledgement port.
	AckToken string `json:"ackToken"`
	// Mode says whether requests are real.
	Mode Mode `json:"mode"`
	// CreditsPerDollar says what a credit is.
	CreditsPerDollar int64 `json:"creditsPerDollar"`
	// Providers by their ID.
	Providers []Provider `json:"providers,omitempty"`
	// Models by public name; aliases are inside.
	Models []Model `json:"models,omitempty"`
	// Tiers by name ("namespace/name").
	Tiers []Tier `json:"tiers,omitempty"`
	// Policies by name ("namespace/name").
	Policies []CreditPolicy `json:"policies,omitempty"`
	// DefaultTier and DefaultPolicy ("namespace/name") serve keys that name none; empty: no limits, prepaid.
	DefaultTier   string `json:"defaultTier,omitempty"`
	DefaultPolicy string `json:"defaultPolicy,omitempty"`
	// RejectWithoutRedis answers 503 while Redis is away, instead of limits by replica and holds in the ledger.
	RejectWithoutRedis bool `json:"rejectWithoutRedis,omitempty"`
	// ClientIP says how a caller's address is known.
	ClientIP ClientIP `json:"clientIP,omitzero"`
	// Objects are the objects that are in this snapshot, at which generation. The operator reads them back to say what
	// is programmed; a gateway ignores them.
	Objects []Object `json:"objects,omitempty"`
}

// Object is one object at one generation.
type Object struct {
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
	Generation int64  `json:"generation"`
}

// ProviderType mirrors api/v1alpha1.ProviderType.
type ProviderType string

// Provider types.
const (
	OpenAI           ProviderType = "OpenAI"
	OpenAICompatible ProviderType = "OpenAICompatible"
	Anthropic        ProviderType = "Anthropic"
	Gemini           ProviderType = "Gemini"
	Perplexity       ProviderType = "Perplexity"
	Morph            ProviderType = "Morph"
	VercelAIGateway  ProviderType = "VercelAIGateway"
	DemoProvider     ProviderType = "Demo"
)

// Provider is one account at one upstream, its credential resolved.
type Provider struct {
	// ID is "namespace/name".
	ID   string       `json:"id"`
	Type ProviderType `json:"type"`
	// BaseURL has no slash at its end; empty for Demo.
	BaseURL string `json:"baseURL,omitempty"`
	// Credential is the bearer token; may be empty. Secret: never logged.
	Credential string   `json:"credential,omitempty"`
	Headers    []Header `json:"headers,omitempty"`
	// CancelStopsBilling says that the provider bills nothing more of a stream that is cancelled: then a client that leaves
	// ends the call.
	CancelStopsBilling bool `json:"cancelStopsBilling,omitempty"`
	// MaxConcurrent is how many calls of each replica may run at once; 0: any number.
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`
}

// Header is one extra request header.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Model is one public name and where it is served.
type Model struct {
	// Object is "namespace/name" of the Model.
	Object       string   `json:"object"`
	PublicName   string   `json:"publicName"`
	Aliases      []string `json:"aliases,omitempty"`
	Capabilities []string `json:"capabilities"`
	// Created is the object's creation, Unix seconds (the "created" of GET /v1/models).
	Created  int64     `json:"created"`
	Backends []Backend `json:"backends"`
	// Unavailable says why the model is listed and cannot be called, for people: requests for it are answered with 503
	// gateway_not_configured and this text. Backends is then empty. Only `layers up` without manifests has such models.
	Unavailable string `json:"unavailable,omitempty"`
	// Price is nil only in demo mode.
	Price  *Price `json:"price,omitempty"`
	Limits Limits `json:"limits"`
	// Strict refuses parameters that the upstream has nothing for, instead of dropping them.
	Strict bool    `json:"strict,omitempty"`
	Times  Timeout `json:"timeouts"`
}

// Backend is one place where a model is served.
type Backend struct {
	Name     string `json:"name"`
	Provider string `json:"provider"` // Provider.ID
	Model    string `json:"model"`    // the upstream's id
	Priority int32  `json:"priority"`
	Weight   int32  `json:"weight"`
	// Price is what the provider asks; nil: the model's.
	Price *Price `json:"price,omitempty"`
}

// Price holds prices in nano-USD (10^-9 USD) per million units. A nil optional price: charged as input.
type Price struct {
	// Version is a content hash of the prices; it is stored with every charge.
	Version              string `json:"version"`
	InputPerMillion      int64  `json:"inputPerMillion"`
	OutputPerMillion     int64  `json:"outputPerMillion"`
	CacheReadPerMillion  *int64 `json:"cacheReadPerMillion,omitempty"`
	CacheWritePerMillion *int64 `json:"cacheWritePerMillion,omitempty"`
	// CacheWrite1hPerMillion and SearchPerMillion: nil: requests that need them are refused.
	CacheWrite1hPerMillion *int64 `json:"cacheWrite1hPerMillion,omitempty"`
	SearchPerMillion       *int64 `json:"searchPerMillion,omitempty"`
	// Steps reprice the whole request by its input; in ascending order.
	Steps []PriceStep `json:"steps,omitempty"`
}

// PriceStep is what the tokens of a request with more than AboveInput tokens of input cost, cached ones included. Nil
// optional prices: as in Price, within the step.
type PriceStep struct {
	AboveInput             int64  `json:"aboveInput"`
	InputPerMillion        int64  `json:"inputPerMillion"`
	OutputPerMillion       int64  `json:"outputPerMillion"`
	CacheReadPerMillion    *int64 `json:"cacheReadPerMillion,omitempty"`
	CacheWritePerMillion   *int64 `json:"cacheWritePerMillion,omitempty"`
	CacheWrite1hPerMillion *int64 `json:"cacheWrite1hPerMillion,omitempty"`
}

// Limits bound a request, in tokens.
type Limits struct {
	ContextTokens   int64 `json:"contextTokens"`
	MaxOutputTokens int64 `json:"maxOutputTokens"`
}

// Timeout bounds the phases of an upstream call, in seconds.
type Timeout struct {
	ConnectSeconds    int32 `json:"connectSeconds"`
	FirstEventSeconds int32 `json:"firstEventSeconds"`
	IdleSeconds       int32 `json:"idleSeconds"`
	TotalSeconds      int32 `json:"totalSeconds"`
}

// Unit is what a rate limit counts, as api/v1alpha1.LimitUnit spells it.
type Unit string

// Units.
const (
	RequestsPerMinute     Unit = "RequestsPerMinute"
	InputTokensPerMinute  Unit = "InputTokensPerMinute"
	OutputTokensPerMinute Unit = "OutputTokensPerMinute"
	RequestsPerDay        Unit = "RequestsPerDay"
)

// RateLimit is one limit of each key of a tier.
type RateLimit struct {
	Unit  Unit  `json:"unit"`
	Value int64 `json:"value"`
	// Burst is at least 1 for the units a minute, 0 for RequestsPerDay.
	Burst int64 `json:"burst,omitempty"`
}

// ClientIP says how a caller's address is known; zero: it is the connection's.
type ClientIP struct {
	TrustedProxies []string `json:"trustedProxies,omitempty"` // CIDRs
	Header         string   `json:"header,omitempty"`
}

// Tier is what a class of keys may use.
type Tier struct {
	// Name is "namespace/name".
	Name string `json:"name"`
	// Models are the public names or aliases allowed; empty: all.
	Models []string `json:"models,omitempty"`
	// NoModels says that the tier allows no model at all: its selector takes none. Models is then empty.
	NoModels bool `json:"noModels,omitempty"`
	// Limits has each unit at most once.
	Limits []RateLimit `json:"limits,omitempty"`
	// MaxConcurrent is how many requests of each key may run at once; 0: any number.
	MaxConcurrent int64 `json:"maxConcurrent,omitempty"`
	// Markup multiplies what keys are charged; nil: 1.
	Markup *Ratio `json:"markup,omitempty"`
	// UpgradeURL is told with a 429; may be empty.
	UpgradeURL string `json:"upgradeURL,omitempty"`
	// MaxBodyBytes is the largest request body.
	MaxBodyBytes int64 `json:"maxBodyBytes"`
}

// Ratio is the exact fraction Num/Den; Den is a power of ten up to 10^9.
type Ratio struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// CreditPolicy says how accounts pay.
type CreditPolicy struct {
	// Name is "namespace/name".
	Name string `json:"name"`
	// Unmetered checks and charges nothing; usage is still recorded.
	Unmetered bool `json:"unmetered,omitempty"`
	// FirstGrant is given once when an account is made, in nano-USD; it expires GrantExpireDays days later, 0: never.
	FirstGrant      int64 `json:"firstGrant,omitempty"`
	GrantExpireDays int32 `json:"grantExpireDays,omitempty"`
	// MinOutputTokens is the least answer that is worth admitting where the worst case does not fit, DefaultOutputTokens the
	// estimate of a key and model that too little is known of; 0: by the class of the model.
	MinOutputTokens     int64 `json:"minOutputTokens,omitempty"`
	DefaultOutputTokens int64 `json:"defaultOutputTokens,omitempty"`
	// OrphanCharge says what a request is charged that nobody finished: None, Input or Hold; empty: Input.
	OrphanCharge string `json:"orphanCharge,omitempty"`
	// Overdraft in nano-USD is how far below zero admission may let an account go, beside what the account itself may.
	Overdraft int64 `json:"overdraft,omitempty"`
	// TopUpURL is told with a 402 of the credits; may be empty.
	TopUpURL string `json:"topUpURL,omitempty"`
	// Shadow counts and reports refusals of limits and credits, and refuses nothing for them.
	Shadow bool `json:"shadow,omitempty"`
}
