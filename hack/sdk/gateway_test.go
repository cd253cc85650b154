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
}

// environment is what the scripts read.
func (g target) environment() []string {
	return append(os.Environ(),
		"LAYERS_BASE_URL="+g.baseURL, "LAYERS_KEY="+g.key, "LAYERS_MODEL="+g.model, "LAYERS_TOOL_PROMPT="+g.toolPrompt)
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

// live starts `layers up --manifests` in front of the mock provider.
func live(t *testing.T) target {
	t.Helper()
	_, provider := mockprovider.Start(t)
	folder, data := t.TempDir(), t.TempDir()
	text := fmt.Sprintf(manifests, provider)
	if err := os.WriteFile(filepath.Join(folder, "objects.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	base := start(t, up.Options{Manifests: folder, Data: data})
	key, err := os.ReadFile(filepath.Join(data, "keys", "default.acme"))
	if err != nil {
		t.Fatal(err)
	}
	return target{baseURL: base, key: strings.TrimSpace(string(key)), model: "example/small", toolPrompt: "mock:tool"}
}

// demo starts `layers up` as it is.
func demo(t *testing.T) target {
	t.Helper()
	return target{
		baseURL: start(t, up.Options{}), key: "lyr_live_demo", model: "layers/demo",
		toolPrompt: "What is the weather in Lisbon?",
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
		if b, err := os.ReadFile(logs.Name()); err == nil && t.Failed() {
			t.Logf("its log:\n%s", b)
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
