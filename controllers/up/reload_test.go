package up

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// until asks again and again for something that has to become so.
func until(t *testing.T, p *process, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			text := p.stderr.String()
			t.Fatalf("never: %s\n%s", what, text[max(0, len(text)-4000):])
		}
	}
}

// says waits for a sentence on stderr.
func (p *process) says(t *testing.T, want string) {
	t.Helper()
	until(t, p, "it says "+want, func() bool { return strings.Contains(p.stderr.String(), want) })
}

func (p *process) answers(t *testing.T, key string, want int) {
	t.Helper()
	until(t, p, "the status wanted", func() bool { return p.status(t, key) == want })
}

// followed starts a folder of manifests whose every change is noticed soon.
func followed(t *testing.T) (p *process, o Options, files map[string]string) {
	t.Helper()
	files = manifest(t, provider(t), keys.Digest(plainKey))
	o = Options{Data: t.TempDir(), Manifests: folder(t, files), poll: 50 * time.Millisecond}
	return start(t, o), o, files
}

// TestReloadByEvent: a change takes effect long before the folder is looked at anyway.
func TestReloadByEvent(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	o := Options{Data: t.TempDir(), Manifests: folder(t, files), poll: time.Hour}
	p := start(t, o)
	write(t, o.Manifests, "50-model.yaml", strings.NewReplacer("name: small", "name: large", "acme/small", "acme/large", "[small]", "[large]").Replace(files["20-model.yaml"]))
	p.says(t, "Reloaded. Models: 2, keys: 2.")
	if status, _, body := p.post(t, plainKey, strings.Replace(question, "small", "large", 1)); status != 200 {
		t.Errorf("the new model: %d %s", status, body)
	}
	if err := os.Remove(filepath.Join(o.Manifests, "50-model.yaml")); err != nil {
		t.Fatal(err)
	}
	p.says(t, "Reloaded. Models: 1, keys: 2.")
	if status, _, _ := p.post(t, plainKey, strings.Replace(question, "small", "large", 1)); status != 404 {
		t.Errorf("a model that went: %d", status)
	}
}

// TestReloadKeys: keys come, change and go without a restart; embedded and on servers.
func TestReloadKeys(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { reloadKeys(t, Options{Data: t.TempDir()}) })
	t.Run("servers", func(t *testing.T) {
		reloadKeys(t, Options{Data: t.TempDir(), Redis: testenv.Redis(t), Ledger: testenv.Postgres(t)})
	})
}

func reloadKeys(t *testing.T, o Options) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	o.Manifests, o.poll = folder(t, files), 50*time.Millisecond
	p := start(t, o)
	p.answers(t, plainKey, 200)
	const another = "lyr_live_another-key-of-acme-000000000"
	write(t, o.Manifests, "50-key.yaml", api+"kind: APIKey\nmetadata: {name: another}\nspec: {account: acme, key: {sha256: "+keys.Digest(another)+"}}\n")
	p.answers(t, another, 200)
	first, second, _ := strings.Cut(files["40-keys.yaml"], "---\n")
	write(t, o.Manifests, "40-keys.yaml", strings.Replace(first, "spec: {", "spec: {state: Disabled, ", 1)+"---\n"+second)
	p.answers(t, plainKey, 401)
	p.answers(t, another, 200)
	write(t, o.Manifests, "40-keys.yaml", files["40-keys.yaml"])
	p.answers(t, plainKey, 200)
	if err := os.Remove(filepath.Join(o.Manifests, "50-key.yaml")); err != nil {
		t.Fatal(err)
	}
	p.answers(t, another, 401)
	p.answers(t, plainKey, 200)
}

// TestReloadBroken: of an object that an edit breaks the version before goes on, whatever breaks it, and others change.
func TestReloadBroken(t *testing.T) {
	tests := map[string]struct {
		file, old, new, says string
	}{
		"against the schema":     {"20-model.yaml", "maxOutputTokens: 4096", "maxOutputTokens: 0", "Model default/small: spec.limits.maxOutputTokens"},
		"no YAML":                {"20-model.yaml", "spec:", "spec: [", `what it declared before goes on: "Model default/small"`},
		"without a price":        {"20-model.yaml", "pricing:", "# pricing:", "Model default/small: Priced=False Unpriced"},
		"a provider that is not": {"20-model.yaml", "{name: local}, model", "{name: nowhere}, model", "Model default/small: ResolvedRefs=False RefNotFound"},
		"an empty credential":    {"10-provider.yaml", "api-key: sk-upstream", "api-key: ''", "Provider default/local: CredentialsResolved=False Invalid"},
		"no credential":          {"10-provider.yaml", "{name: local, key: api-key}", "{name: gone, key: api-key}", "Provider default/local: CredentialsResolved=False SecretNotFound"},
		"another account":        {"40-keys.yaml", "account: acme", "account: other", "APIKey default/declared: spec.account: Invalid value: \"other\": account is immutable"},
		"a tier that is not":     {"40-keys.yaml", "account: acme", "account: acme, tierRef: {name: none}", "APIKey default/declared: ResolvedRefs=False RefNotFound"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, o, files := followed(t)
			if !strings.Contains(files[test.file], test.old) {
				t.Fatalf("%s has no %q", test.file, test.old)
			}
			write(t, o.Manifests, test.file, strings.ReplaceAll(files[test.file], test.old, test.new))
			// In the same breath something good.
			write(t, o.Manifests, "50-tier.yaml", api+"kind: Tier\nmetadata: {name: pro}\nspec: {}\n")
			p.says(t, test.says)
			p.says(t, "Error: "+filepath.Join(o.Manifests, test.file)+": ")
			p.says(t, "goes on")
			// The folder may have been read between the two writes.
			until(t, p, "what is good is served", func() bool { return strings.Contains(p.stderr.String(), "Reloaded.") })
			if status, _, body := p.post(t, plainKey, question); status != 200 {
				t.Errorf("%d %s", status, body)
			}
			// Repaired, it is good again, and says nothing more.
			write(t, o.Manifests, test.file, files[test.file])
			write(t, o.Manifests, "50-tier.yaml", api+"kind: Tier\nmetadata: {name: pro}\nspec: {maxBodyBytes: 1024}\n")
			until(t, p, "it is repaired", func() bool { return strings.Count(p.stderr.String(), "Reloaded.") >= 2 })
			if got := strings.Count(p.stderr.String(), test.says); got != 1 {
				t.Errorf("it says %q %d times\n%s", test.says, got, p.stderr)
			}
		})
	}
}

// TestReloadConflict: a file that is new takes no name from a model that is served, although it is read before it.
func TestReloadConflict(t *testing.T) {
	p, o, files := followed(t)
	write(t, o.Manifests, "05-model.yaml", strings.NewReplacer("name: small", "name: thief", "upstream-model", "stolen").Replace(files["20-model.yaml"]))
	p.says(t, "05-model.yaml: Model default/thief: Accepted=False Conflicted")
	if got := p.status(t, plainKey); got != 200 {
		t.Errorf("the model that was there: %d\n%s", got, p.stderr)
	}
}

// TestReloadFolder: a folder that disappears, or is empty, changes nothing, and is followed again when it is back.
func TestReloadFolder(t *testing.T) {
	p, o, files := followed(t)
	away := o.Manifests + "-away"
	if err := os.Rename(o.Manifests, away); err != nil {
		t.Fatal(err)
	}
	p.says(t, "no such file or directory; nothing is changed")
	if got := p.status(t, plainKey); got != 200 {
		t.Errorf("without its folder: %d", got)
	}
	if err := os.Mkdir(o.Manifests, 0o700); err != nil {
		t.Fatal(err)
	}
	p.says(t, "no objects in "+o.Manifests+": want *.yaml, *.yml or *.json files there; nothing is changed")
	if got := p.status(t, plainKey); got != 200 {
		t.Errorf("with an empty folder: %d", got)
	}
	for name, text := range files {
		write(t, o.Manifests, name, text)
	}
	write(t, o.Manifests, "40-keys.yaml", strings.Replace(files["40-keys.yaml"], "spec: {", "spec: {state: Disabled, ", 1))
	p.answers(t, plainKey, 401)
	if got := strings.Count(p.stderr.String(), "no such file or directory"); got != 1 {
		t.Errorf("it says %d times that the folder is gone\n%s", got, p.stderr)
	}
}

// TestReloadGateway: what a restart is needed for is said, and nothing of it happens.
func TestReloadGateway(t *testing.T) {
	p, o, _ := followed(t)
	stores := "redis: {urlSecretRef: {name: s, key: redis}}, ledger: {urlSecretRef: {name: s, key: ledger}}"
	write(t, o.Manifests, "00-gateway.yaml", api+"kind: AIGateway\nmetadata: {name: main}\nspec: {"+stores+", drain: {timeoutSeconds: 3}, credits: {perDollar: 100}}\n")
	p.says(t, "drain.timeoutSeconds takes effect at the next start")
	write(t, o.Manifests, "00-gateway.yaml", api+"kind: AIGateway\nmetadata: {name: main}\nspec: {"+stores+", credits: {perDollar: 1000}}\n")
	p.says(t, "AIGateway default/main: spec.credits.perDollar: Invalid value: 1000: credits.perDollar is immutable")
	write(t, o.Manifests, "00-gateway.yaml", api+"kind: AIGateway\nmetadata: {name: main}\nspec: {mode: Demo}\n")
	p.says(t, "AIGateway default/main: spec.mode cannot change while it runs. The version before goes on.")
	write(t, o.Manifests, "00-gateway.yaml", api+"kind: AIGateway\nmetadata: {name: other}\nspec: {mode: Demo}\n")
	p.says(t, filepath.Join(o.Manifests, "00-gateway.yaml")+": AIGateway default/other: spec.mode differs from what runs, which only a restart can change; nothing is changed")
	if got := p.status(t, "lyr_live_anything-that-demo-takes"); got != 401 {
		t.Errorf("a key that only demo mode takes: %d", got)
	}
	p.answers(t, plainKey, 200)
}

// TestReloadDevelopmentKey: it comes when the last declared key goes, and goes when one is declared.
func TestReloadDevelopmentKey(t *testing.T) {
	p, o, files := followed(t)
	if err := os.Remove(filepath.Join(o.Manifests, "40-keys.yaml")); err != nil {
		t.Fatal(err)
	}
	p.says(t, "export LAYERS_API_KEY=$(cat "+filepath.Join(o.Data, "keys", "default.dev")+")")
	dev := readKey(t, o.Data, "default.dev")
	p.answers(t, dev, 200)
	p.answers(t, plainKey, 401)
	write(t, o.Manifests, "40-keys.yaml", strings.Split(files["40-keys.yaml"], "---\n")[1])
	// Its policy went with it: until the cached row is read again, the refusal names that.
	until(t, p, "the development key is refused", func() bool { got := p.status(t, dev); return got == 401 || got == 503 })
	until(t, p, "the declared key, made anew, works", func() bool { return p.status(t, readKey(t, o.Data, "default.made-key")) == 200 })
}

// TestReloadRotation: raising rotation makes another key; both work until the overlap ends, and being disabled is for both.
func TestReloadRotation(t *testing.T) {
	p, o, files := followed(t)
	_, second, _ := strings.Cut(files["40-keys.yaml"], "---\n")
	old := readKey(t, o.Data, "default.made-key")
	rotated := strings.Replace(second, "secretName: made-key", "secretName: made-key, rotation: 2, overlapSeconds: 3600", 1)
	write(t, o.Manifests, "40-keys.yaml", rotated)
	until(t, p, "another key", func() bool { return readKey(t, o.Data, "default.made-key") != old })
	made := readKey(t, o.Data, "default.made-key")
	p.answers(t, made, 200)
	if got := p.status(t, old); got != 200 {
		t.Errorf("the key before, while it overlaps: %d", got)
	}
	write(t, o.Manifests, "40-keys.yaml", strings.Replace(rotated, "spec: {", "spec: {state: Disabled, ", 1))
	p.answers(t, made, 401)
	p.answers(t, old, 401)
	write(t, o.Manifests, "40-keys.yaml", rotated)
	p.answers(t, old, 200)
	p.stop(t)

	p = start(t, o)
	if again := readKey(t, o.Data, "default.made-key"); again != made || p.status(t, made) != 200 || p.status(t, old) != 200 {
		t.Error("a restart is no rotation and no end of an overlap")
	}
	write(t, o.Manifests, "40-keys.yaml", strings.NewReplacer("rotation: 2", "rotation: 3", "3600", "0").Replace(rotated))
	p.answers(t, made, 401)
	until(t, p, "the third key works", func() bool { return p.status(t, readKey(t, o.Data, "default.made-key")) == 200 })
}

// TestReloadRetries: keys that the ledger could not take are taken when it can.
func TestReloadRetries(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	o := Options{Data: t.TempDir(), Manifests: folder(t, files), poll: 50 * time.Millisecond}
	p := start(t, o)
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(o.Data, "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// A key file that is no key stops the ones after it.
	path := filepath.Join(o.Data, "keys", "default.made-key")
	good := readKey(t, o.Data, "default.made-key")
	write(t, filepath.Dir(path), filepath.Base(path), "lyr_live_\n")
	write(t, o.Manifests, "40-keys.yaml", strings.Replace(files["40-keys.yaml"], "spec: {", "spec: {state: Disabled, ", 1))
	p.says(t, "the generated key in "+path+" was changed")
	if got := p.status(t, plainKey); got != 200 {
		t.Errorf("before: %d", got)
	}
	write(t, filepath.Dir(path), filepath.Base(path), good+"\n")
	p.answers(t, plainKey, 401)
	if row, err := l.KeyByDigest(t.Context(), keys.Digest(plainKey)); err != nil || row.State != ledger.KeyDisabled {
		t.Errorf("%+v, %v", row, err)
	}
	if got := strings.Count(p.stderr.String(), "was changed"); got != 1 {
		t.Errorf("it says so %d times", got)
	}
}

func TestReloadJSON(t *testing.T) {
	files := manifest(t, provider(t), keys.Digest(plainKey))
	o := Options{Data: t.TempDir(), Manifests: folder(t, files), poll: 50 * time.Millisecond, LogFormat: "json"}
	p := start(t, o)
	write(t, o.Manifests, "20-model.yaml", strings.Replace(files["20-model.yaml"], "4096", "0", 1))
	p.says(t, `"level":"ERROR","msg":"`+filepath.Join(o.Manifests, "20-model.yaml")+`: Model default/small: spec.limits.maxOutputTokens`)
	write(t, o.Manifests, "20-model.yaml", strings.Replace(files["20-model.yaml"], "4096", "512", 1))
	p.says(t, `"msg":"Reloaded","models":1,"keys":2`)
}
