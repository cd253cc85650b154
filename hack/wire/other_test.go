package wire

import (
	"net/http"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// What is no conversation passes as it is: vectors, counts of tokens, and Morph's edits, of which no answer is on record.
func TestOtherEndpoints(t *testing.T) {
	cases := append(recorded(t),
		Case{ID: "own-count", Provider: "anthropic", API: "count_tokens", Model: "claude-sonnet-5", Status: 200, Body: []byte(`{"input_tokens":14}`),
			Request: []byte(`{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hi"}]}`)},
		Case{ID: "own-vectors", Provider: "openai", API: "embeddings", Model: "text-embedding-3-small", Status: 200,
			Body:    []byte(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"model":"text-embedding-3-small","usage":{"prompt_tokens":2,"total_tokens":2}}`),
			Request: []byte(`{"input":["hi"],"model":"text-embedding-3-small","encoding_format":"base64"}`)},
		Case{ID: "own-apply", Provider: "morph", API: "chat", Capability: "fast_apply_request", Model: "morph-v3-fast", Status: 200,
			Request: []byte(`{"messages":[{"role":"user","content":"<instruction>a & b</instruction>\n<code>\tx < y  \n</code>\n<update>…</update> "}],"model":"morph-v3-fast"}`)})
	kinds := map[string]snapshot.ProviderType{"openai": snapshot.OpenAI, "morph": snapshot.Morph, "anthropic": snapshot.Anthropic}
	protocols := map[string]chat.Protocol{"embeddings": chat.Embeddings, "count_tokens": chat.CountTokens, "chat": chat.Completions}
	var plans []planned
	var routes []route
	for i := range cases {
		c := &cases[i]
		p := planned{Case: c, protocol: protocols[c.API], passes: true, route: route{name: c.ID, kind: kinds[c.Provider], model: c.Model}}
		if p.kind == "" || p.protocol == "" || c.Request == nil || p.protocol == chat.Completions && !strings.HasPrefix(c.Capability, "fast_apply") {
			continue
		}
		if c.Body == nil {
			c.Body = []byte(`{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":" merged\n"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		}
		plans, routes = append(plans, p), append(routes, p.route)
	}
	w := newWorld(t, routes)
	for _, p := range plans {
		t.Run(p.ID, func(t *testing.T) {
			w.provider.serve(p.name, p.Case)
			r := w.ask(t, p.protocol, p.body(t))
			p.sentAsRecorded(t, w.provider.last(p.name).body, "")
			if p.Status != http.StatusOK {
				got, _ := Completions(r.status, false, r.body)
				want, _ := Completions(p.Status, false, p.Body)
				p.failed(t, want.Failure, r, got)
				return
			}
			if r.status != http.StatusOK || costless(t, r.body) != costless(t, p.Body) {
				t.Errorf("%d %.300s", r.status, r.body)
			}
		})
	}
	if len(plans) < 3 {
		t.Errorf("only %d", len(plans))
	}
}

// Who does not ask for usage is told none, wherever the answer is from.
func TestUsageOnlyWhenAsked(t *testing.T) {
	cases := exchanges(t)
	var plans []planned
	var routes []route
	for i := range cases {
		if p, ok := plan(&cases[i], chat.Completions); ok && p.Stream && p.Status == http.StatusOK {
			plans, routes = append(plans, p), append(routes, p.route)
		}
	}
	w := newWorld(t, routes)
	for _, p := range plans {
		w.provider.serve(p.name, p.Case)
		t.Run(p.ID, func(t *testing.T) {
			body := strings.Replace(string(p.short()), `,"stream_options":{"include_usage":true}`, "", 1)
			r := w.ask(t, p.protocol, []byte(body))
			got, problems := Completions(r.status, true, r.body)
			if got.Failure != nil {
				return
			}
			if got.Usage != nil && !p.toldAlongside() {
				t.Errorf("usage was told: %+v", *got.Usage)
			}
			if !p.passes && problems != nil {
				t.Error(problems)
			}
			if want := p.view().Usage; want != nil {
				want.Searches = 0
				charged := w.receipt(t, r).usage()
				charged.Searches = 0
				if *charged != *want {
					t.Errorf("%+v is charged for %+v", charged, want)
				}
			}
		})
	}
}

// toldAlongside says that the provider tells usage in chunks that say something else, too: those pass as they are.
func (p planned) toldAlongside() bool {
	if !p.passes {
		return false
	}
	for _, e := range events(p.Body) {
		if strings.Contains(e.data, `"usage":{`) || strings.Contains(e.data, `"usage": {`) {
			if !strings.Contains(e.data, `"choices":[]`) {
				return true
			}
		}
	}
	return false
}
