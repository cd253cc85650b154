package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/controllers/up"
	"github.com/layers-dev/layers/hack/mockprovider/mockprovider"
)

// target is a gateway to run the libraries against.
type target struct {
	baseURL, key, model string
	// toolPrompt makes the model call the tool that it is offered.
	toolPrompt string
	// provider is the mock's address, models those that each speak to another of its APIs; empty: there is none.
	provider string
	models   []string
	mock     *mockprovider.Provider
}

// environment is what the scripts read.
func (g target) environment() []string {
	return append(os.Environ(),
		"LAYERS_BASE_URL="+g.baseURL, "LAYERS_KEY="+g.key, "LAYERS_MODEL="+g.model, "LAYERS_TOOL_PROMPT="+g.toolPrompt,
		"LAYERS_PROVIDER="+g.provider, "LAYERS_MODELS="+strings.Join(g.models, " "))
}

// manifests declare one model at a provider, and one metered key.
const manifests = `
apiVersion: layers.dev/v1alpha1
kind: Provider
metadata: {name: local}
spec: {type: OpenAICompatible, baseURL: %q}
---
apiVersion: layers.dev/v1alpha1
kind: Model
metadata: {name: small}
spec:
  publicName: example/small
  capabilities: [Text, Streaming, Tools]
  backends: [{name: local, providerRef: {name: local}, model: small-1}]
  pricing: {inputPerMillion: "0.25", outputPerMillion: "2"}
  limits: {contextTokens: 128000, maxOutputTokens: 16000}
---
apiVersion: layers.dev/v1alpha1
kind: CreditPolicy
metadata: {name: trial}
spec: {grant: {amount: "500"}}
---
apiVersion: layers.dev/v1alpha1
kind: APIKey
metadata: {name: acme}
spec: {account: acme, creditPolicyRef: {name: trial}, key: {generate: {secretName: acme}}}
`

// maker declares a provider of a type that speaks to the mock, and a model at it.
const maker = `---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s}
stringData: {key: provider-key}
---
apiVersion: layers.dev/v1alpha1
kind: Provider
metadata: {name: %[1]s}
spec: {type: %[2]s, baseURL: %[3]q, auth: {secretRef: {name: %[1]s, key: key}}}
---
apiVersion: layers.dev/v1alpha1
kind: Model
metadata: {name: %[1]s}
spec:
  publicName: example/%[1]s
  capabilities: [Text, Streaming, Vision, Tools, JSON, Thinking, PromptCache, WebSearch]
  backends: [{name: only, providerRef: {name: %[1]s}, model: %[4]s}]
  pricing: {inputPerMillion: "0.25", outputPerMillion: "2", cacheReadPerMillion: "0.1", cacheWritePerMillion: "0.3", searchPerThousand: "10"}
  limits: {contextTokens: 200000, maxOutputTokens: 32000}
`

// embedder is a model for embeddings.
const embedder = `---
apiVersion: layers.dev/v1alpha1
kind: Model
metadata: {name: embed}
spec:
  publicName: example/embed
  capabilities: [Text]
  backends: [{name: only, providerRef: {name: openai}, model: text-embedding-3-small}]
  pricing: {inputPerMillion: "0.02", outputPerMillion: "0"}
  limits: {contextTokens: 8192, maxOutputTokens: 1}
`

// live starts `layers up --manifests` in front of the mock provider: one model by OpenAI's chat completions without a
// key, and one at each maker's API.
func live(t *testing.T) target {
	t.Helper()
	mock, provider := mockprovider.Start(t)
	g := before(t, strings.TrimSuffix(provider, "/v1"))
	g.mock = mock
	return g
}

// before starts `layers up --manifests` in front of a server that speaks every maker's API.
func before(t *testing.T, root string) target {
	t.Helper()
	provider := root + "/v1"
	folder, data := t.TempDir(), t.TempDir()
	text := fmt.Sprintf(manifests, provider) +
		fmt.Sprintf(maker, "openai", "OpenAI", provider, "gpt-5.6-sol") +
		fmt.Sprintf(maker, "anthropic", "Anthropic", root, "claude-sonnet-4-5") +
		fmt.Sprintf(maker, "claude", "Anthropic", root, "claude-opus-5") +
		fmt.Sprintf(maker, "perplexity", "Perplexity", root, "perplexity/sonar") +
		fmt.Sprintf(maker, "gemini", "Gemini", root+"/v1beta", "gemini-3.5-flash") + embedder
	if err := os.WriteFile(filepath.Join(folder, "objects.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	base := start(t, up.Options{Manifests: folder, Data: data})
	key, err := os.ReadFile(filepath.Join(data, "keys", "default.acme"))
	if err != nil {
		t.Fatal(err)
	}
	return target{
		baseURL: base, key: strings.TrimSpace(string(key)), model: "example/small", toolPrompt: "mock:tool", provider: root,
		models: []string{"example/openai", "example/anthropic", "example/claude", "example/gemini"},
	}
}

// demo starts `layers up` as it is.
func demo(t *testing.T) target {
	t.Helper()
	return target{
		baseURL: start(t, up.Options{}), key: "lyr_live_demo", model: "layers/demo",
		toolPrompt: "What is the weather in Lisbon?",
	}
}

// maxTold bounds what of a log is told, in lines.
const maxTold = 20

// tell looks through the log: nothing that the libraries do is an error of the gateway. The end of a failed test's is told.
func tell(t *testing.T, log string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for _, line := range lines {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the gateway says: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("the end of its log:\n%s", strings.Join(lines[max(0, len(lines)-maxTold):], "\n"))
	}
}

// start runs the job on free ports until the test ends, and answers the base URL for libraries once it serves.
func start(t *testing.T, o up.Options) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	logs, err := os.Create(filepath.Join(t.TempDir(), "up.log"))
	if err != nil {
		t.Fatal(err)
	}
	o.Listen, o.AdminListen, o.Stdout, o.Stderr = "127.0.0.1:0", "127.0.0.1:0", in, logs
	ended := make(chan error, 1)
	go func() {
		err := up.Run(ctx, o)
		in.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("layers up: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("layers up does not end")
		}
		if b, err := os.ReadFile(logs.Name()); err == nil {
			tell(t, string(b))
		}
		logs.Close()
	})
	var ready struct {
		Ready bool   `json:"ready"`
		API   string `json:"api"`
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("waiting for the ready line: %v", err)
	}
	if err := json.Unmarshal(line, &ready); err != nil || !ready.Ready {
		t.Fatalf("the first line of stdout is %q: %v", line, err)
	}
	return ready.API + "/v1"
}
