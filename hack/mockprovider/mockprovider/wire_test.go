package mockprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

// recorded are the bodies of what a provider answered on one API: whole, or the events of a stream.
func recorded(t *testing.T, provider string, apis ...string) (out [][]any) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout:", err)
	}
	var all []struct {
		ID, Provider, API, Fidelity string
		Stream                      bool
		Status                      int
		Files                       struct {
			Body string `json:"response_body"`
		}
	}
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		real := !slices.Contains([]string{"hand-made", "composite", "doc-example"}, r.Fidelity)
		if r.Provider != provider || !slices.Contains(apis, r.API) || !real || r.Files.Body == "" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(recordings, r.Files.Body))
		if err != nil {
			t.Fatal(err)
		}
		if values := values(string(body)); values != nil {
			out = append(out, values)
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

// values are the JSON values of a body: one, or those of its events.
func values(body string) (out []any) {
	var one object
	if json.Unmarshal([]byte(body), &one) == nil {
		return []any{one}
	}
	for line := range strings.Lines(body) {
		data, ok := strings.CutPrefix(line, "data:")
		one = nil
		if ok && json.Unmarshal([]byte(data), &one) == nil {
			out = append(out, one)
		}
	}
	return out
}

// shapes counts, for the objects at each place, how many there are and how many have each member.
type shapes map[string]map[string]int

// every is the count of all objects at a place.
const every = ""

// beyond are what no recording has and is known from elsewhere.
var beyond = []string{
	"reasoning_summary", "<summary_text>", // OpenAI's: in the types of its libraries
	"reasoning_content", // DeepSeek's and many compatible ones'
	"retryDelay",        // of google.rpc.RetryInfo
}

func isBeyond(path string) bool {
	return slices.ContainsFunc(beyond, func(b string) bool { return strings.Contains(path, b) })
}

// free are the places whose members are the caller's.
var free = []string{"input", "args", "arguments", "parameters", "metadata", "schema", "response_headers"}

func (s shapes) add(path string, v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			s.add(path+"[]", x)
		}
	case map[string]any:
		kind, ok := v["type"].(string)
		switch {
		case strings.HasSuffix(path, ".response"):
			// The whole answer is the same in each event.
			path = "response"
		case ok && !strings.HasSuffix(path, ".error"):
			path += "<" + kind + ">"
		}
		if s[path] == nil {
			s[path] = map[string]int{}
		}
		s[path][every]++
		for name, x := range v {
			s[path][name]++
			if !slices.Contains(free, name) {
				s.add(path+"."+name, x)
			}
		}
	}
}

// against lists what the mock's objects have that no recorded one has, and what they lack that each recorded one has.
func (s shapes) against(recorded shapes) (problems []string) {
	for path, members := range s {
		if isBeyond(path) {
			continue
		}
		real, ok := recorded[path]
		if !ok {
			problems = append(problems, "never seen: "+path)
			continue
		}
		for name := range members {
			if real[name] == 0 && !isBeyond(name) {
				problems = append(problems, "never seen: "+path+"."+name)
			}
		}
		for name, n := range real {
			if n == real[every] && n > 2 && members[name] != members[every] {
				problems = append(problems, "always there, but not here: "+path+"."+name)
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// order is the sequence of a stream's events by their kinds, from "begin" to "end", repetitions and pings left out.
func order(events []any) []string {
	out := []string{"begin"}
	for _, v := range events {
		kind := strings.Replace(kindOf(v.(map[string]any)), "response.incomplete", "response.completed", 1)
		if isBeyond(kind) {
			continue
		}
		if out[len(out)-1] != kind && kind != "ping" && kind != "keepalive" && kind != "" {
			out = append(out, kind)
		}
	}
	return append(out, "end")
}

// pairs are the steps from one event to the next.
func pairs(order []string) (out []string) {
	for i := range order[1:] {
		out = append(out, order[i]+" -> "+order[i+1])
	}
	return out
}

func kindOf(v map[string]any) string {
	inner := func(names ...string) string {
		for _, n := range names {
			if o, ok := v[n].(map[string]any); ok {
				kind, _ := o["type"].(string)
				return "/" + kind
			}
		}
		return ""
	}
	if kind, ok := v["type"].(string); ok {
		return kind + inner("content_block", "item", "delta", "part")
	}
	if list, ok := v["candidates"].([]any); ok && len(list) > 0 {
		return geminiKind(list[0].(map[string]any))
	}
	if list, ok := v["choices"].([]any); ok {
		return chatKind(list)
	}
	return "?"
}

func geminiKind(candidate map[string]any) string {
	content, _ := candidate["content"].(map[string]any)
	parts, _ := content["parts"].([]any)
	var kinds []string
	for _, p := range parts {
		part := p.(map[string]any)
		kind := "text"
		if part["text"] == "" {
			kind = "nothing"
		}
		if part["thought"] == true {
			kind = "thought"
		}
		if part["functionCall"] != nil {
			kind = "call"
		}
		kinds = append(kinds, kind)
	}
	if candidate["finishReason"] != nil {
		kinds = append(kinds, "end")
	}
	return strings.Join(slices.Compact(kinds), "+")
}

func chatKind(choices []any) string {
	if len(choices) == 0 {
		return "usage"
	}
	choice := choices[0].(map[string]any)
	delta, _ := choice["delta"].(map[string]any)
	switch {
	case choice["finish_reason"] != nil:
		return "end"
	case delta["role"] != nil && delta["tool_calls"] == nil:
		return "role"
	}
	names := slices.Sorted(maps.Keys(delta))
	return strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == "refusal" || n == "role" }), "+")
}

// api is one API and how to ask the mock on it.
type api struct {
	provider string
	apis     []string
	url      func(base string, stream bool) string
	body     func(script string, stream bool) any
	header   http.Header
}

var weather = object{"type": "object", "properties": object{"city": object{"type": "string"}}, "required": []any{"city"}}

func path(p string) func(string, bool) string {
	return func(base string, _ bool) string { return base + p }
}

var apis = map[string]api{
	"chat": {
		provider: "openai", apis: []string{"chat"}, url: path("/v1/chat/completions"),
		body: func(script string, stream bool) any {
			out := object{"model": "gpt-mock", "messages": []any{object{"role": "user", "content": script}}, "stream": stream,
				"tools": []any{object{"type": "function", "function": object{"name": "get_weather", "parameters": weather}}}}
			if stream {
				out["stream_options"] = object{"include_usage": true}
			}
			return out
		},
	},
	"responses": {
		provider: "openai", apis: []string{"responses"}, url: path("/v1/responses"),
		body: func(script string, stream bool) any {
			return object{"model": "gpt-mock", "input": script, "stream": stream, "reasoning": object{"effort": "low", "summary": "detailed"},
				"include": []any{"reasoning.encrypted_content"},
				"tools":   []any{object{"type": "function", "name": "get_weather", "description": "", "strict": true, "parameters": weather}}}
		},
	},
	"messages": {
		provider: "anthropic", apis: []string{"messages"}, url: path("/v1/messages"), header: anthropicHeader,
		body: func(script string, stream bool) any {
			return object{"model": "claude-sonnet-4-5", "max_tokens": 4000, "stream": stream, "messages": []any{object{"role": "user", "content": script}},
				"thinking": object{"type": "enabled", "budget_tokens": 2000}, "tools": []any{
					object{"name": "get_weather", "input_schema": weather},
				}}
		},
	},
	"gemini": {
		provider: "gemini", apis: []string{"generateContent", "streamGenerateContent"}, header: geminiHeader,
		url: func(base string, stream bool) string {
			if stream {
				return base + "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"
			}
			return base + "/v1beta/models/gemini-3.5-flash:generateContent"
		},
		body: func(script string, _ bool) any {
			return object{"contents": []any{object{"role": "user", "parts": []any{object{"text": script}}}},
				"tools":            []any{object{"functionDeclarations": []any{object{"name": "get_weather", "parametersJsonSchema": weather}}}},
				"generationConfig": object{"thinkingConfig": object{"thinkingLevel": "low", "includeThoughts": true}}}
		},
	},
}

var (
	anthropicHeader = http.Header{"X-Api-Key": {"k"}, "Anthropic-Version": {"2023-06-01"}}
	geminiHeader    = http.Header{"X-Goog-Api-Key": {"k"}}
)

// call posts a body and answers the status, the header and the answer.
func call(t *testing.T, url string, header http.Header, body any) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(string(encode(body))))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(out)
}

// scripts are what the providers do in recordings too.
var scripts = map[string]string{
	"text": "mock:text=one two three", "call": "mock:tool", "calls": "mock:tools=2", "thought": "mock:think,text=one two three", "thought and call": "mock:think,tool",
	"error": "mock:status=429,retry-after=3", "length": "mock:finish=length,text=one two",
}

// TestAsRecorded finds in the mock's answers the members, and in its streams the order, that recorded ones have.
func TestAsRecorded(t *testing.T) {
	for name, a := range apis {
		t.Run(name, func(t *testing.T) {
			_, base := Start(t)
			base = strings.TrimSuffix(base, "/v1")
			seen, real, orders := shapes{}, shapes{}, map[string]bool{}
			for _, events := range recorded(t, a.provider, a.apis...) {
				for _, v := range events {
					real.add("", v)
				}
				for _, p := range pairs(order(events)) {
					orders[p] = true
				}
			}
			for what, script := range scripts {
				for _, stream := range []bool{false, true} {
					status, _, body := call(t, a.url(base, stream), a.header, a.body(script, stream))
					events := values(body)
					if len(events) == 0 || (status != http.StatusOK) != (what == "error") {
						t.Fatalf("%s: %d %s", what, status, body)
					}
					for _, v := range events {
						seen.add("", v)
					}
					for _, p := range pairs(order(events)) {
						if stream && status == http.StatusOK && !orders[p] {
							t.Errorf("%s: no recorded stream goes so: %s", what, p)
						}
					}
				}
			}
			for _, p := range seen.against(real) {
				t.Error(p)
			}
		})
	}
}

// TestShapesFind proves that the comparison finds what it is for.
func TestShapesFind(t *testing.T) {
	read := func(text string) shapes {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		s := shapes{}
		for range 3 {
			s.add("", v)
		}
		return s
	}
	real := read(`{"type":"a","b":[{"c":1,"d":2}],"input":{"x":1}}`)
	for text, want := range map[string][]string{
		`{"type":"a","b":[{"c":1,"d":2}],"input":{"y":1}}`: nil,
		`{"type":"a","b":[{"c":1}],"input":{}}`:            {"always there, but not here: <a>.b[].d"},
		`{"type":"a","b":[],"input":{},"e":1}`:             {"never seen: <a>.e"},
		`{"type":"z"}`:                                     {"never seen: <z>"},
	} {
		if got := read(text).against(real); !slices.Equal(got, want) {
			t.Errorf("%s: %s", text, fmt.Sprint(got))
		}
	}
}
