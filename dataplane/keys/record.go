package keys

import (
	"encoding/json"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// recordFormat changes when a reader of the old form would misread the new one; another format is no record.
const recordFormat = 3

// cacheKey is where the shared cache keeps a record.
func cacheKey(digest string) string { return "lyr:key:" + digest }

// record is a key's row as caches hold it: no secret is in it.
type record struct {
	Format     int             `json:"format"`
	ReadAt     int64           `json:"readAt"` // microseconds since the epoch: when the store said so
	ID         string          `json:"id"`
	Digest     string          `json:"digest"`
	Prefix     string          `json:"prefix,omitempty"`
	Name       string          `json:"name,omitempty"`
	Account    string          `json:"account"`
	Tier       string          `json:"tier,omitempty"`
	Policy     string          `json:"policy,omitempty"`
	State      ledger.KeyState `json:"state"`
	Version    int64           `json:"version"`
	Source     string          `json:"source,omitempty"`
	ClusterUID string          `json:"clusterUID,omitempty"`
	GatewayUID string          `json:"gatewayUID,omitempty"`
	ObjectUID  string          `json:"objectUID,omitempty"`
	ObjectName string          `json:"objectName,omitempty"`
	UserID     string          `json:"userID,omitempty"`
	Scopes     []string        `json:"scopes,omitempty"`
	Models     []string        `json:"models,omitempty"`
	CapAmount  pricing.Nano    `json:"capAmount,omitempty"`
	CapPeriod  string          `json:"capPeriod,omitempty"`
	ExpiresAt  int64           `json:"expiresAt,omitempty"` // microseconds since the epoch
	Rotation   int64           `json:"rotation,omitempty"`
	First      string          `json:"firstDigest,omitempty"`
}

func newRecord(k ledger.Key, at time.Time) record {
	return record{
		Format: recordFormat, ReadAt: at.UnixMicro(),
		ID: k.ID, Digest: k.Digest, Prefix: k.Prefix, Name: k.Name, Account: k.Account, Tier: k.Tier, Policy: k.Policy,
		State: k.State, Version: k.Version, Source: k.Source, ClusterUID: k.ClusterUID, GatewayUID: k.GatewayUID,
		ObjectUID: k.ObjectUID, ObjectName: k.ObjectName, UserID: k.UserID, Scopes: k.Scopes, Models: k.Models,
		CapAmount: k.CapAmount, CapPeriod: k.CapPeriod, ExpiresAt: k.ExpiresAt, Rotation: k.Rotation, First: k.FirstDigest,
	}
}

func (r record) key() ledger.Key {
	return ledger.Key{
		ID: r.ID, Digest: r.Digest, Prefix: r.Prefix, Name: r.Name, Account: r.Account, Tier: r.Tier, Policy: r.Policy,
		State: r.State, Version: r.Version, Source: r.Source, ClusterUID: r.ClusterUID, GatewayUID: r.GatewayUID,
		ObjectUID: r.ObjectUID, ObjectName: r.ObjectName, UserID: r.UserID, Scopes: r.Scopes, Models: r.Models,
		CapAmount: r.CapAmount, CapPeriod: r.CapPeriod, ExpiresAt: r.ExpiresAt, Rotation: r.Rotation, FirstDigest: r.First,
	}
}

// fresh says whether a row may still be used. One from the future is the work of another machine's clock: a minute is the
// most that it can be wrong before it is read again.
func (r record) fresh(now time.Time) bool {
	return now.Sub(time.UnixMicro(r.ReadAt)).Abs() < MaxAge
}

// usable says that the record is young enough for as long as the store cannot be read.
func (r record) usable(now time.Time) bool {
	return now.Sub(time.UnixMicro(r.ReadAt)).Abs() < MaxAgeAway
}

func (r record) encode() string {
	// A struct of strings and integers always has a form in JSON.
	text, _ := json.Marshal(r)
	return string(text)
}

// decode reads a record of this digest; ok is false for anything else.
func decode(text, digest string) (rec record, ok bool) {
	if json.Unmarshal([]byte(text), &rec) != nil {
		return record{}, false
	}
	return rec, rec.Format == recordFormat && rec.Digest == digest && rec.Account != "" && rec.State != ""
}
