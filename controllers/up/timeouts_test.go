package up

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
)

// silent takes connections and says nothing on them.
func silent(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return l.Addr().String()
}

// TestConnectSecondsActs: an upstream that does not shake hands is given up after timeouts.connectSeconds, which leaves time
// for the next one. With the ten seconds that connectSeconds is by default, totalSeconds is over before.
func TestConnectSecondsActs(t *testing.T) {
	for text, want := range map[string]int{
		"timeouts: {connectSeconds: 1, totalSeconds: 6}": http.StatusOK,
		"timeouts: {totalSeconds: 6}":                    http.StatusGatewayTimeout,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			files := manifest(t, provider(t), keys.Digest(plainKey))
			files["20-model.yaml"] = strings.Replace(files["20-model.yaml"], "backends: [", "backends: [{name: first, providerRef: {name: first}, model: m}, ", 1)
			files["20-model.yaml"] = strings.Replace(files["20-model.yaml"], "model: upstream-model}", "model: upstream-model, priority: 1}", 1) + "  " + text + "\n"
			files["15-first.yaml"] = api + "kind: Provider\nmetadata: {name: first}\nspec: {type: OpenAICompatible, baseURL: \"https://" + silent(t) + "/v1\"}\n"
			p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
			if status, said := p.ask(t, question); status != want {
				t.Errorf("%d %s", status, said)
			}
		})
	}
}

// TestCacheWriteActs: pricing.cacheWritePerMillion is what tokens written to a cache cost; without it they are input.
func TestCacheWriteActs(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":100,"completion_tokens":0,"total_tokens":100,"prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":40}}`
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],`+usage+`}`)
	}))
	defer upstream.Close()
	for price, want := range map[string]string{
		"":                            `"cost":0.0000135`, // (40 + 40) x 0.15 + 20 x 0.075
		`, cacheWritePerMillion: "3"`: `"cost":0.0001275`, // 40 x 0.15 + 40 x 3 + 20 x 0.075
	} {
		files := manifest(t, upstream.URL+"/v1", keys.Digest(plainKey))
		files["20-model.yaml"] = strings.Replace(files["20-model.yaml"], `"0.075"`, `"0.075"`+price, 1)
		p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
		if status, said := p.ask(t, question); status != http.StatusOK || !strings.Contains(said, want) {
			t.Errorf("%q: %d %s, want %s", price, status, said, want)
		}
	}
}
