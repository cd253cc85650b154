package up

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

func newRows(t *testing.T) rows {
	t.Helper()
	dir := t.TempDir()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(dir, "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := admit.Embedded(admit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return rows{ledger: l, admission: a, files: keyFiles{filepath.Join(dir, "keys"), rand.Reader}, now: time.Now}
}

func key(name string, change ...func(*compile.Key)) compile.Key {
	k := compile.Key{
		Object: types.NamespacedName{Namespace: "team", Name: name}, Account: "team/acme", Tier: "team/free",
		FirstGrant: 500, SHA256: keys.Digest("lyr_live_" + strings.Repeat(name, 16)),
	}
	for _, c := range change {
		c(&k)
	}
	return k
}

func generated(k *compile.Key) { k.SHA256, k.SecretName = "", k.Object.Name+"-key" }

// states are those of the live rows by object.
func (r rows) states(t *testing.T) map[string]ledger.KeyState {
	t.Helper()
	have, err := r.ledger.KeysBySource(t.Context(), rowSource, rowOwner)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ledger.KeyState{}
	for _, k := range have {
		out[k.ObjectName] = k.State
	}
	return out
}

func (r rows) mustSync(t *testing.T, want ...compile.Key) []note {
	t.Helper()
	notes, err := r.sync(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

func TestSyncFollowsTheFolder(t *testing.T) {
	r := newRows(t)
	off := func(k *compile.Key) { k.Disabled = true }
	steps := []struct {
		name string
		want []compile.Key
		rows map[string]ledger.KeyState
	}{
		{"two keys", []compile.Key{key("a"), key("b", off)}, map[string]ledger.KeyState{"team/a": "active", "team/b": "disabled"}},
		{"again", []compile.Key{key("a"), key("b", off)}, map[string]ledger.KeyState{"team/a": "active", "team/b": "disabled"}},
		{"switched", []compile.Key{key("a", off), key("b")}, map[string]ledger.KeyState{"team/a": "disabled", "team/b": "active"}},
		{"one gone", []compile.Key{key("b")}, map[string]ledger.KeyState{"team/a": "disabled", "team/b": "active"}},
		{"back again", []compile.Key{key("a"), key("b")}, map[string]ledger.KeyState{"team/a": "active", "team/b": "active"}},
		{"renamed", []compile.Key{key("b"), key("a", func(k *compile.Key) { k.Object.Name = "z" })}, map[string]ledger.KeyState{"team/z": "active", "team/b": "active"}},
		{"all gone", nil, map[string]ledger.KeyState{"team/z": "disabled", "team/b": "disabled"}},
	}
	for _, s := range steps {
		if notes := r.mustSync(t, s.want...); len(notes) > 0 {
			t.Errorf("%s: %v", s.name, notes)
		}
		if diff := cmp.Diff(s.rows, r.states(t)); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", s.name, diff)
		}
	}
	other := key("b", func(k *compile.Key) { k.SHA256 = keys.Digest("lyr_live_new") })
	r.mustSync(t, other)
	if old, err := r.ledger.KeyByDigest(t.Context(), key("b").SHA256); err != nil || old.State != ledger.KeyDisabled {
		t.Errorf("the digest that was replaced: %+v, %v", old, err)
	}
	if now, err := r.ledger.KeyByDigest(t.Context(), other.SHA256); err != nil || now.State != ledger.KeyActive {
		t.Errorf("the digest that replaced it: %+v, %v", now, err)
	}
	if acc, err := r.ledger.Account(t.Context(), "team/acme"); err != nil || acc.Balance != 500 {
		t.Errorf("the first grant comes once: %+v, %v", acc, err)
	}
}

// TestSyncTellsAdmission: what is declared no more is refused by the very next request.
func TestSyncTellsAdmission(t *testing.T) {
	r := newRows(t)
	r.mustSync(t, key("a"))
	admission := r.admission.(*admit.Redis)
	if err := admission.LoadAccount(t.Context(), admit.Copy{Account: "team/acme", Spendable: 500, Version: 1}); err != nil {
		t.Fatal(err)
	}
	ask := func() admit.Outcome {
		row, err := r.ledger.KeyByDigest(t.Context(), key("a").SHA256)
		if err != nil {
			t.Fatal(err)
		}
		d, err := admission.Admit(t.Context(), admit.Request{
			ID: "req_" + rand.Text(), Account: row.Account, KeyDigest: row.Digest, KeyVersion: row.Version, Unmetered: true, HoldFor: 1e9,
		})
		if err != nil {
			t.Fatal(err)
		}
		return d.Outcome
	}
	if got := ask(); got != admit.Admitted {
		t.Fatalf("a declared key: outcome %v", got)
	}
	r.mustSync(t)
	if got := ask(); got != admit.KeyRefused {
		t.Errorf("a key that went: outcome %v", got)
	}
}

// TestSyncKeepsKeys: a key that was not declared for a while, by a typo perhaps, is the same key when it is back. One
// that was revoked by hand stays revoked.
func TestSyncKeepsKeys(t *testing.T) {
	r := newRows(t)
	secret := types.NamespacedName{Namespace: "team", Name: "g-key"}
	r.mustSync(t, key("a"), key("g", generated))
	first, err := os.ReadFile(r.files.path(secret))
	if err != nil {
		t.Fatal(err)
	}
	r.mustSync(t)
	if notes := r.mustSync(t, key("a"), key("g", generated)); len(notes) > 0 {
		t.Errorf("notes: %v", notes)
	}
	if diff := cmp.Diff(map[string]ledger.KeyState{"team/a": "active", "team/g": "active"}, r.states(t)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if second, err := os.ReadFile(r.files.path(secret)); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the generated key was made anew: %v", err)
	}
	if _, err := r.ledger.RevokeKey(t.Context(), key("a").SHA256); err != nil {
		t.Fatal(err)
	}
	notes := r.mustSync(t, key("a"), key("g", generated))
	if len(notes) != 1 || !notes[0].bad || !strings.Contains(notes[0].text, "APIKey team/a: its digest was revoked before") {
		t.Errorf("a digest that was revoked: %v", notes)
	}
}

// TestSyncUnresolved: an account is not made before its first grant is known.
func TestSyncUnresolved(t *testing.T) {
	r := newRows(t)
	broken := func(k *compile.Key) { k.Unresolved, k.Disabled, k.FirstGrant = true, true, 0 }
	r.mustSync(t, key("a", broken))
	if got := r.states(t); len(got) != 0 {
		t.Errorf("rows: %v", got)
	}
	r.mustSync(t, key("a"))
	r.mustSync(t, key("a", broken))
	if diff := cmp.Diff(map[string]ledger.KeyState{"team/a": "disabled"}, r.states(t)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if acc, err := r.ledger.Account(t.Context(), "team/acme"); err != nil || acc.Balance != 500 {
		t.Errorf("account %+v, %v", acc, err)
	}
}

func TestKeyFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	f := keyFiles{dir, rand.Reader}
	secret := types.NamespacedName{Namespace: "team", Name: "one"}
	plain, err := f.get(secret)
	if err != nil || keys.Parse(plain) != nil {
		t.Fatalf("a new key: %v", err)
	}
	if again, err := f.get(secret); err != nil || again != plain {
		t.Errorf("the key changed: %v", err)
	}
	for path, mode := range map[string]os.FileMode{dir: privateDir, f.path(secret): privateFile} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := os.WriteFile(f.path(secret), []byte("lyr_live_\n"), privateFile); err != nil {
		t.Fatal(err)
	}
	if _, err := f.get(secret); err == nil || !strings.Contains(err.Error(), f.path(secret)) {
		t.Errorf("a file that was changed: %v", err)
	}
	if _, err := (keyFiles{dir, strings.NewReader("")}).generate(secret); err == nil {
		t.Error("no randomness, and yet a key")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
