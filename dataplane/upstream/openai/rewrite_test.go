package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func passing(t testing.TB, kind snapshot.ProviderType, p chat.Protocol, model, body string) chat.Call {
	c := call(t, "", body, bytes.Contains([]byte(body), []byte(`"stream":true`)))
	c.Provider.Type, c.Request.Protocol, c.Model = kind, p, model
	return c
}

func TestRewriteForModels(t *testing.T) {
	for name, c := range map[string]struct {
		protocol chat.Protocol
		model    string
		in, want string
		dropped  []string
	}{
		"nothing to do":        {chat.Completions, "gpt-5", `{ "model": "p", "max_completion_tokens": 5,  "temperature":1.0,"x":1 }`, `{ "model": "gpt-5", "max_completion_tokens": 5,  "temperature":1.0,"x":1 }`, nil},
		"the limit":            {chat.Completions, "gpt-5", `{"model":"p", "max_tokens" : 5 ,"x":1}`, `{"model":"gpt-5", "max_completion_tokens":5 ,"x":1}`, nil},
		"two limits":           {chat.Completions, "o3", `{"max_tokens":5,"model":"p","max_completion_tokens":7}`, `{"model":"o3","max_completion_tokens":7}`, nil},
		"two limits, one null": {chat.Completions, "o3", `{"max_completion_tokens":null,"model":"p","max_tokens":5}`, `{"model":"o3","max_completion_tokens":5}`, nil},
		"the limit stays":      {chat.Completions, "gpt-4o", `{"model":"p","max_tokens":5,"temperature":0.5,"stop":["x"],"logprobs":true}`, `{"model":"gpt-4o","max_tokens":5,"temperature":0.5,"stop":["x"],"logprobs":true}`, nil},
		"all that it refuses": {chat.Completions, "o4-mini", `{"temperature":0,"top_p":0.5,"model":"p","stop":"x","logprobs":true,"top_logprobs":2,"logit_bias":{"1":2},"presence_penalty":1,"frequency_penalty":0,"parallel_tool_calls":false}`,
			`{"model":"o4-mini","frequency_penalty":0}`, []string{"temperature", "top_p", "logprobs", "top_logprobs", "stop", "logit_bias", "presence_penalty", "parallel_tool_calls"}},
		"no effort":            {chat.Completions, "gpt-5.6-luna", `{"model":"p","reasoning_effort":"none","temperature":0.2}`, `{"model":"gpt-5.6-luna","reasoning_effort":"none","temperature":0.2}`, nil},
		"an effort":            {chat.Completions, "gpt-5.4", `{"model":"p","reasoning_effort":"low","temperature":0.2}`, `{"model":"gpt-5.4","reasoning_effort":"low"}`, []string{"temperature"}},
		"OpenRouter's effort":  {chat.Completions, "gpt-5", `{"model":"p","reasoning":{"effort":"low"}}`, `{"reasoning_effort":"low","model":"gpt-5"}`, nil},
		"a budget":             {chat.Completions, "gpt-5", `{"model":"p","reasoning":{"max_tokens":9}}`, `{"model":"gpt-5"}`, []string{"reasoning"}},
		"effort without need":  {chat.Completions, "gpt-4o", `{"model":"p","reasoning_effort":"low","thinking":{"type":"enabled"},"top_k":3}`, `{"model":"gpt-4o"}`, []string{"thinking", "top_k", "reasoning_effort"}},
		"Responses":            {chat.Responses, "gpt-5", `{"model":"p","temperature":0.1,"max_output_tokens":3,"stop":"x"}`, `{"model":"gpt-5","max_output_tokens":3,"stop":"x"}`, []string{"temperature"}},
		"Responses, no effort": {chat.Responses, "gpt-5.4-nano", `{"model":"p","temperature":0.1,"reasoning":{"effort":"none"},"stream":true}`, `{"model":"gpt-5.4-nano","temperature":0.1,"reasoning":{"effort":"none"},"stream":true}`, nil},
		"embeddings":           {chat.Embeddings, "text-embedding-3-small", `{"model":"p","temperature":0.1,"cache":true}`, `{"model":"text-embedding-3-small","temperature":0.1}`, nil},
		"the shorthand alone":  {chat.Completions, "gpt-4o", `{"cache" : "1h", "model":"p"}`, `{"model":"gpt-4o"}`, nil},
		"the shorthand last":   {chat.Completions, "gpt-4o", `{"model":"p" , "cache":true }`, `{"model":"gpt-4o" }`, nil},
		"a stream":             {chat.Completions, "o3", `{"cache":true,"max_tokens":5,"stream":true,"model":"p"}`, `{"stream_options":{"include_usage":true},"max_completion_tokens":5,"stream":true,"model":"o3"}`, nil},
		"others' marks": {chat.Completions, "gpt-4o", `{"model":"p","cache_control":{},"messages":[{"role":"user","content":[{"type":"text","text":"<a>", "cache_control":{}}],"cache_control":null}],"tools":[{"type":"function","cache_control":{},"function":{"name":"f","parameters":{"properties":{"cache_control":{"type":"string"}}}}}]}`,
			`{"model":"gpt-4o","messages":[{"role":"user","content":[{"type":"text","text":"<a>"}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"cache_control":{"type":"string"}}}}}]}`, nil},
		"others' thoughts": {chat.Completions, "gpt-4o", `{"model":"p","messages":[{"role":"assistant","content":"reasoning_content","reasoning_content":"r","reasoning_details":[{}],"thinking_blocks":null,"tool_calls":[{"id":"c","extra_content":{},"function":{"name":"f","arguments":"{\"reasoning\":1}"}}]}]}`,
			`{"model":"gpt-4o","messages":[{"role":"assistant","content":"reasoning_content","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"reasoning\":1}"}}]}]}`, []string{"reasoning_details"}},
		"names that are text": {chat.Completions, "gpt-4o", `{"model":"p","messages":[ {"role":"user", "content":"\"cache_control\" \"reasoning\""} ]}`, `{"model":"gpt-4o","messages":[ {"role":"user", "content":"\"cache_control\" \"reasoning\""} ]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cc := passing(t, snapshot.OpenAI, c.protocol, c.model, c.in)
			pieces, dropped, err := rewrite(cc)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(bytes.Join(pieces, nil))); d != "" {
				t.Error(d)
			}
			if !slices.Equal(dropped, c.dropped) {
				t.Errorf("dropped %v", dropped)
			}
			cc.Strict = true
			_, _, err = rewrite(cc)
			var e *chat.Error
			refused := errors.As(err, &e)
			// Reasoning of other models is left out by rule.
			if want := len(c.dropped) > 0 && c.dropped[0] != "reasoning_details"; refused != want || refused && (e.Param != c.dropped[0] || e.Code != "unsupported_parameter") {
				t.Errorf("strict: %v", err)
			}
		})
	}
}

// Of other providers nothing is known: what the client says goes out, but for the gateway's own.
func TestRewriteForOthers(t *testing.T) {
	const in = `{"model":"p","cache":true,"max_tokens":5,"temperature":0.1,"reasoning":{"enabled":true},"messages":[{"role":"assistant","reasoning_content":"r"}],"providerOptions":{}}`
	const want = `{"model":"gpt-5","max_tokens":5,"temperature":0.1,"reasoning":{"enabled":true},"messages":[{"role":"assistant","reasoning_content":"r"}],"providerOptions":{}}`
	for _, kind := range []snapshot.ProviderType{snapshot.OpenAICompatible, snapshot.Morph, snapshot.VercelAIGateway} {
		if d := cmp.Diff(want, rewritten(t, passing(t, kind, chat.Completions, "gpt-5", in))); d != "" {
			t.Error(kind, d)
		}
	}
}

// Vercel marks the prompt's cache itself where it is told to, for models that want marks.
func TestCacheShorthandForVercel(t *testing.T) {
	for model, want := range map[string]string{
		"anthropic/claude-opus-5": `{"providerOptions":{"gateway":{"caching":"auto"}},"model":"anthropic/claude-opus-5"}`,
		"openai/gpt-5":            `{"model":"openai/gpt-5"}`,
	} {
		for _, value := range []string{"true", `"1h"`} {
			if d := cmp.Diff(want, rewritten(t, passing(t, snapshot.VercelAIGateway, chat.Completions, model, `{"cache":`+value+`,"model":"p"}`))); d != "" {
				t.Error(d)
			}
		}
	}
	if got := rewritten(t, passing(t, snapshot.VercelAIGateway, chat.Completions, "anthropic/x", `{"model":"p","cache":false}`)); got != `{"model":"anthropic/x"}` {
		t.Error(got)
	}
}

// Morph's apply models read their one message to the byte.
func TestApplyModelsToTheByte(t *testing.T) {
	const in = "{\"model\":\"p\",\"messages\":[{\"role\":\"user\",\"content\":\"<instruction>a</instruction>\\n<code> \\t\\u003c</code>\\n<update>\\n\\n</update>\"}] }\n"
	want := bytes.Replace([]byte(in), []byte(`"p"`), []byte(`"morph-v3-fast"`), 1)
	if d := cmp.Diff(string(want), rewritten(t, passing(t, snapshot.Morph, chat.Completions, "morph-v3-fast", in))); d != "" {
		t.Error(d)
	}
}

// Whatever members are given, in whatever order, what goes out is JSON, has the model once, and has none of what is refused.
func TestRewriteKeepsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"model", "max_tokens", "max_completion_tokens", "temperature", "stop", "cache", "reasoning", "reasoning_effort", "thinking", "stream_options", "x", "cache_control", "messages"}
		order := rapid.Permutation(names).Draw(t, "order")
		order = order[:rapid.IntRange(1, len(order)).Draw(t, "members")]
		if !slices.Contains(order, "model") {
			order = append(order, "model")
		}
		values := []string{`1`, `null`, `"low"`, `{"effort":"high"}`, `[{"role":"assistant","reasoning":"r"}]`, ` {} `}
		body := []byte("{")
		for i, n := range order {
			if i > 0 {
				body = append(body, rapid.SampledFrom([]string{",", " , ", ",\n"}).Draw(t, "comma")...)
			}
			body = append(body, `"`+n+`":`+rapid.SampledFrom(values).Draw(t, "value")...)
		}
		body = append(body, '}')
		fields, err := jsonscan.Scan(body)
		if err != nil {
			t.Fatal(err)
		}
		c := chat.Call{
			Request: &chat.Request{Body: body, Fields: fields, Stream: rapid.Bool().Draw(t, "stream")}, Provider: &snapshot.Provider{Type: snapshot.OpenAI},
			Model: rapid.SampledFrom([]string{"gpt-4o", "gpt-5", "o3"}).Draw(t, "model"),
		}
		pieces, _, err := rewrite(c)
		if err != nil {
			t.Fatal(err)
		}
		out := bytes.Join(pieces, nil)
		got, err := jsonscan.Scan(out)
		if err != nil {
			t.Fatalf("%s -> %s: %v", body, out, err)
		}
		seen := map[string]bool{}
		for _, m := range got {
			if seen[m.Name] {
				t.Fatalf("%s twice: %s", m.Name, out)
			}
			seen[m.Name] = true
		}
		var m map[string]any
		if json.Unmarshal(out, &m) != nil || m["model"] != c.Model || seen["cache"] || seen["reasoning"] || seen["thinking"] || c.Model != "gpt-4o" && m["max_tokens"] != nil {
			t.Fatalf("%s -> %s", body, out)
		}
	})
}
