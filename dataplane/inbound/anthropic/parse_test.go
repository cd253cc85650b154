package anthropic

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// facts are what the gateway knows of a request.
type facts struct {
	Stream, Opaque, Long bool
	Max, Searches        int64
	Needs                []string
}

func withBlocks(blocks string) string {
	return body(`"messages":[{"role":"user","content":[` + blocks + `]}]`)
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want facts
	}{
		"plain":         {body(""), facts{Max: 100}},
		"escaped key":   {`{"mod\u0065l":"m","max_tokens":1,"messages":[{}]}`, facts{Max: 1}},
		"nulls":         {body(`"stream":null,"tools":null,"thread":null,"thinking":null,"system":null,"output_config":null,"output_format":null,"cache_control":null,"context_management":null,"tool_choice":null,"service_tier":null,"x":null`), facts{Max: 100}},
		"stream":        {body(`"stream":true`), facts{Max: 100, Stream: true, Needs: []string{"Streaming"}}},
		"tools":         {body(`"tools":[{"name":"f"},{"type":"custom","name":"g"}]`), facts{Max: 100, Needs: []string{"Tools"}}},
		"no tools":      {body(`"tools":[]`), facts{Max: 100}},
		"search":        {body(`"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3}]`), facts{Max: 100, Opaque: true, Searches: 3, Needs: []string{"WebSearch"}}},
		"search, null":  {body(`"tools":[{"type":"web_search_20260209","max_uses":null}]`), facts{Max: 100, Opaque: true, Searches: DefaultSearches, Needs: []string{"WebSearch"}}},
		"two searches":  {body(`"tools":[{"type":"web_search_20250305","max_uses":2,"MAX_USES":4},{"type":"web_search_20260318","max_uses":9}]`), facts{Max: 100, Opaque: true, Searches: 13, Needs: []string{"WebSearch"}}},
		"searches":      {body(`"tools":[{"type":"web_search_20250305","max_uses":9000000000000000000},{"type":"web_search_20250305","max_uses":9000000000000000000}]`), facts{Max: 100, Opaque: true, Searches: maxSearches, Needs: []string{"WebSearch"}}},
		"tool search":   {body(`"tools":[{"type":"tool_search_tool_bm25_20251119","name":"t"}]`), facts{Max: 100, Opaque: true, Needs: []string{"Tools"}}},
		"later tool":    {body(`"messages":[{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"f"}}}]}]`), facts{Max: 100, Needs: []string{"Tools"}}},
		"thinking":      {body(`"thinking":{"type":"adaptive"}`), facts{Max: 100, Needs: []string{"Thinking"}}},
		"no thinking":   {body(`"thinking":{"type":"disabled"}`), facts{Max: 100}},
		"effort":        {body(`"output_config":{"effort":"low"}`), facts{Max: 100}},
		"json":          {body(`"output_config":{"format":{"type":"json_schema","schema":{}}}`), facts{Max: 100, Needs: []string{"JSON"}}},
		"older json":    {body(`"output_format":{"type":"json_schema","schema":{}}`), facts{Max: 100, Needs: []string{"JSON"}}},
		"image":         {withBlocks(`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}`), facts{Max: 100, Opaque: true, Needs: []string{"Vision"}}},
		"pdf":           {withBlocks(`{"type":"document","source":{"type":"url","url":"https://x"}}`), facts{Max: 100, Opaque: true, Needs: []string{"Vision"}}},
		"file":          {withBlocks(`{"type":"document","source":{"type":"file","file_id":"x"}}`), facts{Max: 100, Opaque: true, Needs: []string{"Vision"}}},
		"text document": {withBlocks(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}`), facts{Max: 100}},
		"its pages":     {withBlocks(`{"type":"document","source":{"type":"content","content":[{"type":"text","text":"x"}]}}`), facts{Max: 100}},
		"image in it":   {withBlocks(`{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url"}}]}}`), facts{Max: 100, Opaque: true, Needs: []string{"Vision"}}},
		"image result":  {withBlocks(`{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"url"}}]}`), facts{Max: 100, Opaque: true, Needs: []string{"Vision"}}},
		"search result": {withBlocks(`{"type":"search_result","source":"https://x","title":"x","content":[{"type":"text","text":"x"}]}`), facts{Max: 100}},
		"unknown block": {withBlocks(`{"type":"hologram"}`), facts{Max: 100, Opaque: true}},
		"no type":       {withBlocks(`{"text":"x"}`), facts{Max: 100, Opaque: true}},
		"two types":     {withBlocks(`{"type":"image","type":"text","text":"x"}`), facts{Max: 100, Opaque: true, Needs: []string{"Vision"}}},
		"hour":          {withBlocks(`{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"1h"}}`), facts{Max: 100, Long: true}},
		"hour, system":  {body(`"system":[{"type":"text","text":"x","CACHE_CONTROL":{"TTL":"1h"}}]`), facts{Max: 100, Long: true}},
		"hour, tools":   {body(`"tools":[{"name":"f","cache_control":{"type":"ephemeral","ttl":"1h"}}]`), facts{Max: 100, Long: true, Needs: []string{"Tools"}}},
		"hour, top":     {body(`"cache_control":{"type":"ephemeral","ttl":"1h"}`), facts{Max: 100, Long: true}},
		"hour, result":  {withBlocks(`{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x","cache_control":{"ttl":"1h"}}]}`), facts{Max: 100, Long: true}},
		"five minutes":  {withBlocks(`{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"5m"}}`), facts{Max: 100}},
		"unknown":       {body(`"temperature":2,"metadata":{"user_id":"model"},"diagnostics":{},"x":[1,2]`), facts{Max: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			r, e := parsed(c.in)
			if e != nil {
				t.Fatal(e)
			}
			got := facts{r.Stream, r.Opaque, r.LongCache, r.MaxOutputTokens, r.Searches, r.Needs}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if r.Model != "m" || r.Choices != 1 || r.InputBytes != int64(len(c.in)) || r.Protocol != chat.Messages || r.IncludeUsage != r.Stream {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, param, code string }{
		"no JSON":        {`{`, "", "invalid_json"},
		"no object":      {`[]`, "", "invalid_json"},
		"no model":       {`{"max_tokens":1,"messages":[{}]}`, "model", "missing_required_parameter"},
		"empty model":    {`{"model":"","max_tokens":1,"messages":[{}]}`, "model", "empty_string"},
		"no messages":    {`{"model":"m","max_tokens":1}`, "messages", "missing_required_parameter"},
		"no max":         {`{"model":"m","messages":[{}]}`, "max_tokens", "missing_required_parameter"},
		"null max":       {`{"model":1,"messages":[{}]}`, "model", "invalid_type"},
		"thread":         {body(`"thread":{"type":"create"}`), "thread", "thread_unsupported_request"},
		"thread, first":  {`{"thread":{"type":"continue","previous_message_id":"x"}}`, "thread", "thread_unsupported_request"},
		"unknown search": {body(`"tools":[{"type":"web_search_x","max_uses":"many"}]`), "tools.max_uses", "invalid_type"},
	} {
		t.Run(name, func(t *testing.T) {
			_, e := parsed(c.in)
			if e == nil {
				t.Fatal("taken")
			}
			if e.Status != 400 || e.Param != c.param || e.Code != c.code {
				t.Errorf("got %d %q %q: %s", e.Status, e.Param, e.Code, e.Message)
			}
		})
	}
}

// A body is counted without a bound of the answer, and is never streamed.
func TestCountTokens(t *testing.T) {
	r, e := CountTokens{}.Parse("", nil, []byte(`{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"thinking":{"type":"enabled","budget_tokens":5000}}`))
	if e != nil {
		t.Fatal(e)
	}
	if r.Protocol != chat.CountTokens || r.Stream || r.MaxOutputTokens != 0 || r.ExtraOutputTokens != 0 {
		t.Errorf("%+v", r)
	}
	if (CountTokens{}).Protocol() != chat.CountTokens || (Messages{}).Protocol() != chat.Messages {
		t.Error("wrong protocol")
	}
	var answer struct {
		Tokens int64 `json:"input_tokens"`
	}
	if err := json.Unmarshal(CountAnswer(12), &answer); err != nil || answer.Tokens != 12 {
		t.Errorf("%s: %v", CountAnswer(12), err)
	}
}

func TestHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		in, want http.Header
		dropped  []string
	}{
		"none":    {http.Header{"X-Api-Key": {"secret"}, "Authorization": {"secret"}, "Cookie": {"c"}}, nil, nil},
		"version": {http.Header{"Anthropic-Version": {"2023-06-01"}}, http.Header{"Anthropic-Version": {"2023-06-01"}}, nil},
		"betas": {
			http.Header{"Anthropic-Beta": {"claude-code-20250219,interleaved-thinking-2025-05-14", " made-up-2030-01-01 , claude-code-20250219,"}},
			http.Header{"Anthropic-Beta": {"claude-code-20250219,interleaved-thinking-2025-05-14,made-up-2030-01-01"}},
			nil,
		},
		"dropped": {
			http.Header{"Anthropic-Beta": {"context-1m-2025-08-07,Fast-Mode-2026-02-01,message-threads-2026-08-12,user-profiles-billing-2026-10-01,server-side-fallback,context-management-2025-06-27"}},
			http.Header{"Anthropic-Beta": {"context-management-2025-06-27"}},
			[]string{"anthropic-beta.context-1m-2025-08-07", "anthropic-beta.Fast-Mode-2026-02-01", "anthropic-beta.message-threads-2026-08-12", "anthropic-beta.user-profiles-billing-2026-10-01", "anthropic-beta.server-side-fallback"},
		},
		"all dropped": {http.Header{"Anthropic-Beta": {"context-1m-2025-08-07"}}, nil, []string{"anthropic-beta.context-1m-2025-08-07"}},
		"no prefix":   {http.Header{"Anthropic-Beta": {"context-1million"}}, http.Header{"Anthropic-Beta": {"context-1million"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, e := Messages{}.Parse("", c.in, []byte(body("")))
			if e != nil {
				t.Fatal(e)
			}
			if d := cmp.Diff(c.want, r.Header); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.dropped, r.Dropped); d != "" {
				t.Error(d)
			}
		})
	}
}

// claudeCode is a request in the shape that Claude Code sends.
const claudeCode = `{"model":"m","max_tokens":32000,"stream":true,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"},
"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
"metadata":{"user_id":"{\"device_id\":\"d\",\"session_id\":\"s\"}"},"temperature":1,
"system":[{"type":"text","text":"x-header: 1"},{"type":"text","text":"You are a coding agent.","cache_control":{"type":"ephemeral","ttl":"1h","scope":"global"}}],
"tools":[{"name":"Bash","description":"runs","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false},"eager_input_streaming":true}],
"messages":[{"role":"user","content":[{"type":"text","text":"<system-reminder>be kind</system-reminder>"},{"type":"text","text":"list","cache_control":{"type":"ephemeral"}}]},
{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"EqQB"},{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"ls"}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"a\nb","is_error":false}]}]}`

func TestClaudeCode(t *testing.T) {
	h := http.Header{"Anthropic-Beta": {"claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24"}, "Anthropic-Version": {"2023-06-01"}}
	r, e := Messages{}.Parse("req_1", h, []byte(claudeCode))
	if e != nil {
		t.Fatal(e)
	}
	if d := cmp.Diff(h, r.Header); d != "" {
		t.Error(d)
	}
	if string(r.Body) != claudeCode || !r.LongCache || r.Opaque || r.MaxOutputTokens != 32000 {
		t.Errorf("%+v", r)
	}
	if d := cmp.Diff([]string{"Streaming", "Tools", "Thinking"}, r.Needs); d != "" {
		t.Error(d)
	}
	p, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Messages) != 4 || len(p.Others) != 1 || p.Others[0].Name != "context_management" {
		t.Errorf("%d messages, others %v", len(p.Messages), p.Others)
	}
}

// nested puts a block into the content of another, and so on.
func nested(kind string, depth int, innermost string) string {
	head, tail := `{"type":"`+kind+`","tool_use_id":"a","content":[`, `]}`
	return strings.Repeat(head, depth) + innermost + strings.Repeat(tail, depth)
}

// Blocks in blocks are looked at a few times only, however deep a client nests them.
func TestParseNesting(t *testing.T) {
	const image = `{"type":"image","source":{"type":"url","url":"u"}}`
	deepest := `{"type":"tool_result","tool_use_id":"a","content":[{"type":"document","source":{"type":"content","content":[` + image + `]}}]}`
	if r, e := parsed(withBlocks(deepest)); e != nil || len(r.Needs) != 1 {
		t.Errorf("the API's own depth: %v", e)
	}
	for _, depth := range []int{8, 20, 400} {
		if _, e := parsed(withBlocks(nested("tool_result", depth, image))); e == nil || e.Param != "messages" {
			t.Errorf("%d deep: %v", depth, e)
		}
	}
	if _, err := prompted(t, talk(user(nested("search_result", 4, `{"type":"text","text":"x"}`)))); err == nil {
		t.Error("a prompt takes what is nested too deep")
	}
}

// A large body takes a time in proportion to its size.
func TestParseLarge(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		id := strconv.Itoa(i)
		b.WriteString(`,{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":""},{"type":"tool_use","id":"` + id + `","name":"f","input":{}}]},` +
			`{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + id + `","content":"x"}]}`)
	}
	in := talk(`{"role":"user","content":"hi"}` + b.String())
	start := time.Now()
	p, err := prompted(t, in)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Messages) != 40_001 {
		t.Errorf("%d messages", len(p.Messages))
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("%d bytes take %v", len(in), took)
	}
}

// Many upstreams may ask for the prompt at the same time.
func TestTranslateTogether(t *testing.T) {
	r, e := parsed(claudeCode)
	if e != nil {
		t.Fatal(e)
	}
	var wg sync.WaitGroup
	prompts := make([]*chat.Prompt, 8)
	for i := range prompts {
		wg.Go(func() { prompts[i], _ = r.Translate() })
	}
	wg.Wait()
	for _, p := range prompts {
		if p == nil || p != prompts[0] {
			t.Fatal("not the same prompt")
		}
	}
}

// Kinds of values are named in errors, and long ones are cut.
func TestParseWords(t *testing.T) {
	for value, want := range map[string]string{`{}`: "an object", `[]`: "an array", `true`: "a boolean", `1`: "a number", `null`: "null"} {
		if _, e := parsed(`{"model":` + value + `}`); e == nil || !strings.Contains(e.Message, "got "+want) {
			t.Errorf("%s: %v", value, e)
		}
	}
	if _, e := parsed(`{"model":"m","max_tokens":1,"messages":"x"}`); e == nil || !strings.Contains(e.Message, "got a string") {
		t.Errorf("%v", e)
	}
	if kindOf(nil) != "nothing" {
		t.Error(kindOf(nil))
	}
	_, e := parsed(body(`"tools":[{"type":"` + strings.Repeat("é", 500) + `"}]`))
	if e == nil || len(e.Message) > 300 || !strings.Contains(e.Message, "...") || !utf8.ValidString(e.Message) {
		t.Errorf("%v", e)
	}
}

func BenchmarkParse(b *testing.B) {
	in := []byte(talk(`{"role":"user","content":"` + strings.Repeat("some words of text ", 5000) + `"},` + assistant(`{"type":"text","text":"`+strings.Repeat("more words ", 5000)+`"}`)))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, e := (Messages{}).Parse("", nil, in); e != nil {
			b.Fatal(e)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(claudeCode))
	f.Add([]byte(body(`"tools":[{"type":"web_search_20250305","name":"web_search"}],"tool_choice":{"type":"tool","name":"web_search"}`)))
	f.Add([]byte(withBlocks(`{"type":"document","title":"t","context":"c","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"u"}}]}}`)))
	f.Add([]byte(`{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"google-gemini-v1:call::x"},{"type":"tool_use","id":"i","name":"n","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":[{"type":"tool_reference","tool_name":"x"}]}]}]}`))
	f.Add([]byte(`{"model":"m","max_tokens":1,"messages":[{"role":"system","content":[{"type":"tool_removal","tool":{"name":"x"}}]},{"role":"assistant","content":[{"type":"text","text":"a","citations":[{"encrypted_index":""}]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, e := Messages{}.Parse("req_1", nil, b)
		if (r == nil) == (e == nil) {
			t.Fatal("neither or both")
		}
		if e != nil {
			if e.Status != 400 || !json.Valid(errorBody(e, "x")) {
				t.Fatalf("%+v", e)
			}
			return
		}
		if r.Model == "" || r.Choices != 1 || r.MaxOutputTokens < 0 || !json.Valid(r.Body) {
			t.Fatalf("%+v", r)
		}
		p, err := r.Translate()
		if (p == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		if err != nil {
			if e, ok := err.(*chat.Error); !ok || e.Status != 400 {
				t.Fatalf("%+v", err)
			}
			return
		}
		checkPrompt(t, p)
	})
}

// checkPrompt holds a prompt against what chat.Prompt promises.
func checkPrompt(t *testing.T, p *chat.Prompt) {
	t.Helper()
	if len(p.Messages) == 0 || p.Choices != 1 {
		t.Fatalf("%+v", p)
	}
	for _, m := range p.Messages {
		if len(m.Parts) == 0 {
			t.Fatal("an empty message")
		}
		for _, part := range m.Parts {
			if part.Kind == chat.PartCall && (m.Role != chat.Assistant || !json.Valid([]byte(part.Call.Arguments))) {
				t.Fatalf("%+v", part.Call)
			}
			if part.Kind == chat.PartText && part.Text == "" {
				t.Fatal("an empty text")
			}
			if th := part.Thought; th != nil && th.Signature != "" && th.Encrypted != "" {
				t.Fatalf("%+v", th)
			}
		}
	}
}
