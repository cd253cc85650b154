package up

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigModels: config/models is a folder of manifests like any other. With the Secret of one provider its models are
// served, and of the others it is said what is missing.
func TestConfigModels(t *testing.T) {
	files := map[string]string{"secrets.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: anthropic}\nstringData: {api-key: sk-a}\n"}
	paths, err := filepath.Glob("../../config/models/*.yaml")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%v: %v", paths, err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Nobody outside is asked.
		files[filepath.Base(path)] = strings.Replace(string(raw), "  type: Anthropic\n", "  type: Anthropic\n  baseURL: "+vendor(t)+"\n", 1)
	}
	o := Options{Data: t.TempDir(), Manifests: folder(t, files)}
	p := start(t, o)
	key := readKey(t, o.Data, "default.dev")
	ask := func(model string) (int, string) {
		status, _, body := p.post(t, key, strings.Replace(hello, `"demo"`, `"`+model+`"`, 1))
		return status, body
	}
	for _, model := range []string{"anthropic/claude-haiku-4.5", "claude-haiku-4-5"} {
		if status, body := ask(model); status != http.StatusOK || !strings.Contains(body, "/v1/messages sk-a claude-haiku-4-5") || !strings.Contains(body, `"cost":`) {
			t.Errorf("%s: %d %s", model, status, body)
		}
	}
	if status, body := ask("openai/gpt-4o"); status != http.StatusNotFound {
		t.Errorf("a model without a key of its provider: %d %s", status, body)
	}
	said := p.stderr.String()
	for _, want := range []string{
		"Provider default/openai: CredentialsResolved=False", `Secret "openai" does not exist`, "Model default/openai.gpt-4o: ResolvedRefs=False",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	for _, bad := range []string{"Accepted=False", "Priced=False", "unknown field", "Warning:", "anthropic: CredentialsResolved"} {
		if strings.Contains(said, bad) {
			t.Errorf("it says %q:\n%s", bad, said)
		}
	}
}
