package up

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// provider is an OpenAI-compatible upstream. The last message is a number, from which its whole answer follows.
func provider(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		var req struct {
			Model    string
			Stream   bool
			Messages []struct{ Content string }
		}
		if err != nil || json.Unmarshal(raw, &req) != nil || len(req.Messages) == 0 || r.URL.Path != "/v1/chat/completions" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		if got := r.Header.Get("Authorization"); got != "Bearer sk-upstream" || req.Model != "upstream-model" {
			http.Error(w, "wrong credential or model", http.StatusTeapot)
			return
		}
		i, _ := strconv.Atoi(req.Messages[len(req.Messages)-1].Content)
		w.Header().Set("X-Request-Id", fmt.Sprintf("up-%d", i))
		if req.Stream {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, upstreamStream(i))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if fails(i) {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, upstreamBody(i))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

// fails says which requests the provider refuses.
func fails(i int) bool { return i%41 == 7 }

// streams says which requests ask for a stream.
func streams(i int) bool { return !fails(i) && i%5 == 3 }

// used is the usage of answer i: input tokens of which some were cached, and output tokens.
func used(i int) (input, cached, output int64) {
	n := int64(i)
	return 11 + n%97, n % 11, 1 + n*7%53
}

func usageJSON(i int) string {
	input, cached, output := used(i)
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d, "total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"x_more":[1e2,{"a":null}]}`,
		input, output, input+output, cached)
}

// upstreamBody has spaces, unknown fields and escapes that must come through as they are.
func upstreamBody(i int) string {
	if fails(i) {
		return fmt.Sprintf(`{"error":{"message":"Refused %d","type":"invalid_request_error","param":"messages","code":"refused"}}`, i)
	}
	return fmt.Sprintf("{ \"id\":\"chatcmpl-%d\",\"object\":\"chat.completion\",\"created\":%d,\"model\":\"upstream-model\",\n"+
		"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Zahl %d \\u00e4 <ä> \\/\",\"x_unknown\":1.50},\"finish_reason\":\"stop\",\"logprobs\":null}],"+
		"\"usage\" :%s ,\"system_fingerprint\":\"fp\"}\n", i, 1700000000+i, i, usageJSON(i))
}

func upstreamStream(i int) string {
	chunk := func(rest string) string {
		return fmt.Sprintf("data: {\"id\":\"chatcmpl-%d\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"upstream-model\",%s}\n\n", i, rest)
	}
	var b strings.Builder
	b.WriteString(chunk(`"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`))
	for word := range 1 + i%4 {
		b.WriteString(chunk(fmt.Sprintf(`"choices":[{"index":0,"delta":{"content":"w%d "},"finish_reason":null}]`, word)))
	}
	b.WriteString(chunk(`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`))
	b.WriteString(chunk(`"choices":[],"usage":` + usageJSON(i)))
	b.WriteString("data: [DONE]\n\n")
	return b.String()
}

// manifest is a folder for the provider: a priced model, an account with a grant, a declared key and a generated one.
func manifest(t *testing.T, baseURL, sha256 string) map[string]string {
	t.Helper()
	return map[string]string{
		"10-provider.yaml": api + "kind: Provider\nmetadata: {name: local}\nspec: {type: OpenAICompatible, baseURL: \"" + baseURL + "\", auth: {secretRef: {name: local, key: api-key}}}\n" +
			"---\napiVersion: v1\nkind: Secret\nmetadata: {name: local}\nstringData: {api-key: sk-upstream}\n",
		"20-model.yaml": api + `kind: Model
metadata: {name: small}
spec:
  publicName: acme/small
  aliases: [small]
  limits: {contextTokens: 128000, maxOutputTokens: 4096}
  pricing: {inputPerMillion: "0.15", outputPerMillion: "0.60", cacheReadPerMillion: "0.075"}
  backends: [{name: local, providerRef: {name: local}, model: upstream-model}]
`,
		"30-credit.yaml": api + "kind: CreditPolicy\nmetadata: {name: trial}\nspec: {grant: {amount: \"100000\"}}\n",
		"40-keys.yaml": api + "kind: APIKey\nmetadata: {name: declared}\nspec: {account: acme, creditPolicyRef: {name: trial}, key: {sha256: " + sha256 + "}}\n---\n" +
			api + "kind: APIKey\nmetadata: {name: made}\nspec: {account: acme, creditPolicyRef: {name: trial}, key: {generate: {secretName: made-key}}}\n",
	}
}
