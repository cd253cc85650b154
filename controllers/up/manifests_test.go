package up

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

const question = `{"model":"small","messages":[{"role":"user","content":"1"}]}`

// status is the status of one good question.
func (p *process) status(t *testing.T, key string) int {
	t.Helper()
	status, _, _ := p.post(t, key, question)
	return status
}

// readKey reads a generated key.
func readKey(t *testing.T, data, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(data, "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// TestManifests follows one folder over restarts: on the embedded stores, and on servers, whose Redis remembers.
func TestManifests(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { restarts(t, Options{Data: t.TempDir()}) })
	t.Run("servers", func(t *testing.T) {
		restarts(t, Options{Data: t.TempDir(), Redis: testenv.Redis(t), Ledger: testenv.Postgres(t)})
	})
}

func restarts(t *testing.T, o Options) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	o.Manifests = folder(t, files)
	p := start(t, o)
	made := readKey(t, o.Data, "default.made-key")
	for key, want := range map[string]int{made: 200, plainKey: 200, "lyr_live_nobody-has-this-one": 401} {
		if got := p.status(t, key); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.API+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+made)
	var list struct{ Data []struct{ ID string } }
	if status, _, body := do(t, req); status != 200 || json.Unmarshal([]byte(body), &list) != nil || len(list.Data) != 1 || list.Data[0].ID != "acme/small" {
		t.Errorf("models: %d %s", status, body)
	}
	p.stop(t)

	// The same key after a restart, and nobody has seen it in a log.
	p = start(t, o)
	if again := readKey(t, o.Data, "default.made-key"); again != made || p.status(t, made) != 200 {
		t.Error("the generated key did not outlive a restart")
	}
	p.stop(t)
	if strings.Contains(p.stderr.String(), made) {
		t.Error("the log holds a key")
	}

	// A key that is declared no more, and one that is switched off.
	_, second, _ := strings.Cut(files["40-keys.yaml"], "---\n")
	write(t, o.Manifests, "40-keys.yaml", strings.Replace(second, "spec: {", "spec: {state: Disabled, ", 1))
	p = start(t, o)
	for _, key := range []string{made, plainKey} {
		if got := p.status(t, key); got != 401 && got != 403 {
			t.Errorf("a key that was taken away: %d", got)
		}
	}
	p.stop(t)

	// On again.
	write(t, o.Manifests, "40-keys.yaml", second)
	p = start(t, o)
	if got := p.status(t, made); got != 200 {
		t.Errorf("a key that was switched on again: %d", got)
	}
	p.stop(t)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDevelopmentKey: a folder without keys gets one that pays nothing.
func TestDevelopmentKey(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	delete(files, "40-keys.yaml")
	delete(files, "30-credit.yaml")
	o := Options{Data: t.TempDir(), Manifests: folder(t, files)}
	p := start(t, o)
	key := readKey(t, o.Data, "default.dev")
	if status, _, body := p.post(t, key, question); status != 200 || !strings.Contains(body, "chatcmpl-1") {
		t.Errorf("%d %s", status, body)
	}
	if want := "export LAYERS_API_KEY=$(cat " + filepath.Join(o.Data, "keys", "default.dev") + ")"; !strings.Contains(p.stderr.String(), want) {
		t.Errorf("it does not say %q:\n%s", want, p.stderr)
	}
	if strings.Contains(p.stderr.String(), key) {
		t.Error("the log holds the key")
	}
}

// TestGoesOnWithTheGoodOnes: what is wrong is named on stderr, with its file, and the rest is served.
func TestGoesOnWithTheGoodOnes(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	files["20-model.yaml"] = strings.Replace(files["20-model.yaml"], "spec:\n", "spec:\n  foo: 1\n", 1)
	files["90-bad.yaml"] = api + "kind: Model\nmetadata: {name: bad}\nspec: {publicName: acme/bad}\n"
	o := Options{Data: t.TempDir(), Manifests: folder(t, files)}
	p := start(t, o)
	if got := p.status(t, plainKey); got != 200 {
		t.Errorf("status %d", got)
	}
	for _, want := range []string{
		"Warning: " + filepath.Join(o.Manifests, "20-model.yaml") + `: Model default/small: unknown field "spec.foo"`,
		"Error: " + filepath.Join(o.Manifests, "90-bad.yaml") + ": Model default/bad: spec.backends: Required value",
	} {
		if !strings.Contains(p.stderr.String(), want+"\n") {
			t.Errorf("it does not say %q:\n%s", want, p.stderr)
		}
	}
}

// TestCreditIsPinned: a ledger never changes what a credit is.
func TestCreditIsPinned(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	o := Options{Data: t.TempDir(), Manifests: folder(t, files)}
	start(t, o).stop(t)
	stores := "redis: {urlSecretRef: {name: s, key: redis}}, ledger: {urlSecretRef: {name: s, key: ledger}}"
	write(t, o.Manifests, "00-gateway.yaml", api+"kind: AIGateway\nmetadata: {name: main}\nspec: {"+stores+", credits: {perDollar: 1000}}\n")
	o.Listen, o.AdminListen, o.Stdout, o.Stderr = "127.0.0.1:0", "127.0.0.1:0", io.Discard, io.Discard
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "100 credits a dollar, the AIGateway says 1000") {
		t.Errorf("got %v", err)
	}
}

// TestShortOfCredits: an account without credits is refused, and a grant from another process lets it in at once.
func TestShortOfCredits(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	files["40-keys.yaml"] = strings.ReplaceAll(files["40-keys.yaml"], "creditPolicyRef: {name: trial}, ", "")
	o := Options{Data: t.TempDir(), Manifests: folder(t, files)}
	p := start(t, o)
	if status, _, body := p.post(t, plainKey, question); status != http.StatusPaymentRequired || !strings.Contains(body, "Insufficient credits") {
		t.Errorf("%d %s", status, body)
	}
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(o.Data, "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Grant(t.Context(), ledger.Grant{ID: "manual:1", Account: "default/acme", Amount: 1_000_000_000, Kind: "manual", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := p.status(t, plainKey); got != http.StatusOK {
		t.Errorf("after a grant: %d", got)
	}
}
