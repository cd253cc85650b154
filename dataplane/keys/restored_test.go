package keys

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// inPlace is the world after another ledger, whose clock is at now, has taken the place of its own: it has the key, too, and
// Redis stays.
func (w *world) inPlace(t *testing.T, now func() time.Time, key ledger.NewKey) ledger.Key {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "other.db"), ledger.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	k, err := l.CreateKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	w.ledger, w.replica = l, NewResolver(Options{Store: l})
	return k
}

// admitted asks for one request with the row that the ledger has, and reads it again if it is told to.
func (w *world) admitted(id, digest string) admit.Outcome {
	w.Helper()
	k, err := w.replica.Reload(w.Context(), digest)
	if err == nil {
		err = w.redis.LoadKey(w.Context(), k.Account, digest, string(k.State), k.Version)
	}
	if err == nil {
		err = w.redis.LoadAccount(w.Context(), admit.Copy{Account: k.Account, Spendable: 0, Version: k.Version})
	}
	if err != nil {
		w.Fatal(err)
	}
	d, err := w.redis.Admit(w.Context(), admit.Request{ID: id, Account: k.Account, KeyDigest: digest, KeyVersion: k.Version, Unmetered: true, HoldFor: time.Minute})
	if err != nil {
		w.Fatal(err)
	}
	return d.Outcome
}

// TestLedgerIsReplaced: a new ledger is believed at once, although Redis has heard of the key from the one before; one that
// was set back to before what Redis has heard is believed once the copies are old.
func TestLedgerIsReplaced(t *testing.T) {
	key := ledger.NewKey{Digest: Digest("k"), Name: "k", Account: "ns/acme", Source: ledger.SourceCLI, GatewayUID: "g"}
	world := func(t *testing.T) *world {
		w := connect(t, "sqlite:"+filepath.Join(t.TempDir(), "l.db"), testenv.Redis(t))
		k, _, err := w.ledger.RotateKey(t.Context(), w.key("k").Digest, Digest("next"), "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := Publish(t.Context(), w.redis, w.redis, k); err != nil { // Redis has heard of a change
			t.Fatal(err)
		}
		return w
	}
	t.Run("new", func(t *testing.T) {
		w := world(t)
		k := w.inPlace(t, time.Now, key)
		if got := w.admitted("req_new", k.Digest); got != admit.Admitted {
			t.Errorf("outcome %v", got)
		}
	})
	t.Run("set back", func(t *testing.T) {
		w := world(t)
		k := w.inPlace(t, func() time.Time { return time.Now().Add(-time.Hour) }, key)
		deadline, poll := time.After(10*keyAge), time.NewTicker(20*time.Millisecond)
		defer poll.Stop()
		for w.admitted("req_back", k.Digest) != admit.Admitted {
			select {
			case <-poll.C:
			case <-deadline:
				t.Fatal("its row is never believed")
			}
		}
	})
}
