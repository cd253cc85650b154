package mockprovider

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusals are requests that a provider refuses, and what it says.
var refusals = map[string]map[string]string{
	"messages": {
		`{"model":"m","messages":[{"role":"user","content":"a"}]}`:                                                                                            "max_tokens: Field required",
		`{"model":"m","max_tokens":9,"messages":[],"x":1}`:                                                                                                    "x: Extra inputs are not permitted",
		`{"model":"m","max_tokens":9,"messages":[]}`:                                                                                                          "messages: at least one message is required",
		`{"model":"m","max_tokens":9,"messages":[{"role":"tool","content":"a"}]}`:                                                                             "messages.0.role: Input should be 'user' or 'assistant'",
		`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":""}]}`:                                                                              "text content blocks must be non-empty",
		`{"model":"m","max_tokens":9,"temperature":1.5,"messages":[{"role":"user","content":"a"}]}`:                                                           "temperature: range: 0..1",
		`{"model":"claude-opus-5","max_tokens":9,"temperature":1,"messages":[{"role":"user","content":"a"}]}`:                                                 "`temperature` is deprecated for this model.",
		`{"model":"claude-opus-5","max_tokens":9,"thinking":{"type":"enabled"},"messages":[{"role":"user","content":"a"}]}`:                                   "thinking.type.adaptive",
		`{"model":"claude-opus-5","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`:                              "prefill",
		`{"model":"m","max_tokens":9,"temperature":1,"top_p":1,"messages":[{"role":"user","content":"a"}]}`:                                                   "cannot both be specified",
		`{"model":"m","max_tokens":9,"thinking":{"type":"enabled","budget_tokens":9},"messages":[{"role":"user","content":"a"}]}`:                             "greater than or equal to 1024",
		`{"model":"m","max_tokens":1024,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"a"}]}`:                       "`max_tokens` must be greater than",
		`{"model":"m","max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024},"temperature":0.5,"messages":[]}`:                                  "`temperature` may only be set to 1",
		`{"model":"m","max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024},"tool_choice":{"type":"any"},"messages":[]}`:                       "Thinking may not be enabled",
		`{"model":"m","max_tokens":9,"tools":[{"name":"f","input_schema":{}}],"messages":[]}`:                                                                 "tools.0.custom.input_schema.type: Input should be 'object'",
		`{"model":"m","max_tokens":9,"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},"messages":[]}`:                             "'additionalProperties' must be explicitly set to false",
		`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a"}]}]}`:                                       "messages.0.content.0.thinking.signature: Field required",
		`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"b"}]}]}`:                       "Invalid `signature` in `thinking` block",
		`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"b"}]}]}`:                                  "Invalid `data` in `redacted_thinking` block",
		`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a b","input":{}}]}]}`:                                "String should match pattern",
		`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","input":"{}"}]}]}`:                                "Input should be a valid dictionary",
		`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","input":{}}]}]}`:                                  "`tool_use` ids were found without `tool_result` blocks immediately after: a",
		`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}`:                                      "unexpected `tool_use_id`",
		parallel(`{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"b"}]}`): "immediately after: b",
		`{"model":"m","max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"a","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}`: "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
		`not JSON`: "invalid character",
	},
	"gemini": {
		`{"contents":[]}`:                                                                                                         "contents is not specified",
		`{"contents":[{"parts":[]}],"x":1}`:                                                                                       "Unknown name \"x\": Cannot find field.",
		`{"contents":[{"parts":[]}],"generationConfig":{"x":1}}`:                                                                  "Unknown name \"x\" at 'generation_config'",
		`{"contents":[{"role":"assistant","parts":[]}]}`:                                                                          "Please use a valid role: user, model.",
		`{"contents":[],"generationConfig":{"temperature":3}}`:                                                                    "temperature value of 3",
		`{"contents":[],"generationConfig":{"responseJsonSchema":{}}}`:                                                            "requires response mime type",
		`{"contents":[],"generationConfig":{"stopSequences":["1","2","3","4","5","6"]}}`:                                          "6 stop sequences",
		`{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingBudget":1,"thinkingLevel":"low"}}}`:                        "only one of thinking budget and thinking level",
		turn(`{"functionCall":{"name":"f","args":{}}}`, `{"functionResponse":{"name":"f","response":{}}}`):                        "Function call is missing a thought_signature in functionCall parts",
		turn(`{"functionCall":{"name":"f","args":{}},"thoughtSignature":"x"}`, `{"functionResponse":{"name":"f","response":{}}}`): "Corrupted thought signature.",
		turn(signed, `{"text":"no"}`):                                                                                             "number of function response parts",
		turn(signed, `{"functionResponse":{"name":"f","response":"text"}}`):                                                       "Unknown value at 'response'",
		turn(`{"functionCall":{"name":"f","args":"{}"}}`, `{"text":"a"}`):                                                         "Unknown value at 'args'",
		`not JSON`: "Invalid JSON payload received.",
	},
	"responses": {
		`{"model":"m","input":"a","x":1}`:                                                           "Unknown parameter: 'x'.",
		`{"model":"m","input":1}`:                                                                   "Invalid type for 'input'",
		`{"model":"m","input":[{"type":"function_call","call_id":"c"}]}`:                            "No tool output found for function call c.",
		`{"model":"m","input":[{"type":"function_call_output","call_id":"c"}]}`:                     "No tool call found for function call output with call_id c.",
		`{"model":"m","input":[{"type":"reasoning","id":"rs"}]}`:                                    "without its required following item",
		`{"model":"m","input":[{"type":"reasoning","encrypted_content":"x"},{"role":"assistant"}]}`: "could not be verified",
		`not JSON`: "invalid character",
	},
	"chat": {
		`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c"}]}]}`: "did not have response messages: c",
	},
}

func parallel(results string) string {
	return `{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","input":{}},{"type":"tool_use","id":"b","input":{}}]},` + results + `]}`
}

var signed = `{"functionCall":{"name":"f","args":{}},"thoughtSignature":"` + sign("call", "f") + `"}`

func turn(model, user string) string {
	return `{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[` + model + `]},{"role":"user","parts":[` + user + `]}]}`
}

// raw is a body that is sent as it is.
func raw(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return nil
}

func TestRefusals(t *testing.T) {
	p, base := Start(t)
	base = strings.TrimSuffix(base, "/v1")
	sent := 0
	for name, cases := range refusals {
		for text, want := range cases {
			body := raw(text)
			if body == nil {
				body, want = "text", "cannot unmarshal string"
			}
			status, _, got := call(t, apis[name].url(base, false), apis[name].header, body)
			if sent++; status != http.StatusBadRequest || !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), want) {
				t.Errorf("%s %s:\n%d %s, want %s", name, text, status, got, want)
			}
		}
	}
	if got := p.Billed(); got != (Usage{}) || p.Requests() != sent {
		t.Errorf("%d requests, billed %+v", p.Requests(), got)
	}
}

func TestCredentials(t *testing.T) {
	p, base := Start(t)
	p.Key = "right"
	base = strings.TrimSuffix(base, "/v1")
	for name, c := range map[string]struct {
		header              http.Header
		none, wrong         int
		noneSays, wrongSays string
	}{
		"chat":      {http.Header{"Authorization": {"Bearer right"}}, 401, 401, "invalid_api_key", "invalid_api_key"},
		"responses": {http.Header{"Authorization": {"Bearer right"}}, 401, 401, "invalid_api_key", "invalid_api_key"},
		"messages":  {http.Header{"X-Api-Key": {"right"}, "Anthropic-Version": {"2023-06-01"}}, 401, 401, "authentication_error", "authentication_error"},
		"gemini":    {http.Header{"X-Goog-Api-Key": {"right"}}, 403, 400, "PERMISSION_DENIED", "API_KEY_INVALID"},
	} {
		a := apis[name]
		body := a.body("hi", false)
		if status, _, got := call(t, a.url(base, false), nil, body); status != c.none || !strings.Contains(got, c.noneSays) {
			t.Errorf("%s without a key: %d %s", name, status, got)
		}
		if status, _, got := call(t, a.url(base, false), c.header, body); status != http.StatusOK {
			t.Errorf("%s: %d %s", name, status, got)
		}
		wrong := c.header.Clone()
		for _, h := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key"} {
			if wrong.Get(h) != "" {
				wrong.Set(h, "wrong")
			}
		}
		if status, _, got := call(t, a.url(base, false), wrong, body); status != c.wrong || !strings.Contains(got, c.wrongSays) {
			t.Errorf("%s with a wrong key: %d %s", name, status, got)
		}
	}
	if status, _, got := call(t, base+"/v1/messages", http.Header{"X-Api-Key": {"right"}}, object{}); status != 400 || !strings.Contains(got, "anthropic-version") {
		t.Errorf("without a version: %d %s", status, got)
	}
}

// A thought that comes back as it was given is counted, in each dialect.
func TestThoughtsComeBack(t *testing.T) {
	p, base := Start(t)
	base = strings.TrimSuffix(base, "/v1")
	for name, body := range map[string]string{
		"messages": `{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"` + sign("thinking", "a") +
			`"},{"type":"redacted_thinking","data":"` + sign("redacted", "") + `"},{"type":"tool_use","id":"t","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"mock:thoughts"}]}]}`,
		"gemini":    turn(signed+`,{"text":"","thoughtSignature":"`+sign("text", "")+`"}`, `{"functionResponse":{"name":"f","response":{"result":"mock:thoughts"}}}`),
		"responses": `{"model":"m","input":[{"type":"reasoning","encrypted_content":"` + sign("reasoning", "") + `"},{"type":"reasoning","encrypted_content":"` + sign("reasoning", "") + `"},{"type":"function_call","call_id":"c"},{"type":"function_call_output","call_id":"c","output":"mock:thoughts"}]}`,
	} {
		status, _, got := call(t, apis[name].url(base, false), apis[name].header, json.RawMessage(body))
		if status != http.StatusOK || !strings.Contains(got, "2 thoughts") {
			t.Errorf("%s: %d %s", name, status, got)
		}
		if s := p.Served(); s[len(s)-1].Thoughts != 2 {
			t.Errorf("%s: recorded %d", name, s[len(s)-1].Thoughts)
		}
	}
	for id, want := range map[string]int{"rs_respmock1": http.StatusOK, "rs_other": http.StatusNotFound} {
		body := `{"model":"m","input":[{"type":"item_reference","id":"` + id + `"},{"role":"user","content":"mock:thoughts"}]}`
		if status, _, got := call(t, base+"/v1/responses", nil, json.RawMessage(body)); status != want || strings.Contains(got, "1 thoughts") != (want == http.StatusOK) {
			t.Errorf("%s: %d %s", id, status, got)
		}
	}
	// Lost signatures have a word of their own, which is no thought.
	lost := strings.ReplaceAll(turn(signed, `{"functionResponse":{"name":"f","response":{"result":"mock:thoughts"}}}`), sign("call", "f"), skipSignature)
	if status, _, got := call(t, apis["gemini"].url(base, false), geminiHeader, json.RawMessage(lost)); status != 200 || !strings.Contains(got, "0 thoughts") {
		t.Errorf("%d %s", status, got)
	}
}

func TestFailuresOfEach(t *testing.T) {
	_, base := Start(t)
	base = strings.TrimSuffix(base, "/v1")
	for name, c := range map[string]struct{ script, kind, header, value, broken string }{
		"chat":      {"mock:status=429,retry-after=7,fails=1", "rate_limit_error", "Retry-After", "7", `"code":"mock_mid"`},
		"responses": {"mock:status=429,retry-after=7,fails=1", "rate_limit_error", "Retry-After", "7", "event: response.failed"},
		"messages":  {"mock:status=529,retry-after=7,fails=1", "overloaded_error", "X-Should-Retry", "true", "event: error\n"},
		"gemini":    {"mock:status=429,retry-after=7,fails=1", `"retryDelay":"7s"`, "Retry-After", "", `"status": "INTERNAL"`},
	} {
		a := apis[name]
		status, h, got := call(t, a.url(base, true), a.header, a.body(c.script, true))
		if status < 400 || !strings.Contains(got, c.kind) || h.Get(c.header) != c.value {
			t.Errorf("%s: %d %v %s", name, status, h, got)
		}
		if status, _, got = call(t, a.url(base, true), a.header, a.body(c.script, true)); status != http.StatusOK {
			t.Errorf("%s again: %d %s", name, status, got)
		}
		if _, _, got = call(t, a.url(base, true), a.header, a.body("mock:text=a b c d,error=mid", true)); !strings.Contains(got, c.broken) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Each dialect tells the same usage in its own classes.
func TestUsageOfEach(t *testing.T) {
	p, base := Start(t)
	base = strings.TrimSuffix(base, "/v1")
	for name, want := range map[string][]string{
		"chat":      {`"prompt_tokens":100`, `"completion_tokens":50`, `"cached_tokens":20`, `"cache_write_tokens":10`, `"reasoning_tokens":30`},
		"responses": {`"input_tokens":100`, `"output_tokens":50`, `"cached_tokens":20`, `"cache_write_tokens":15`, `"reasoning_tokens":30`},
		"messages":  {`"input_tokens":65`, `"output_tokens":50`, `"cache_read_input_tokens":20`, `"ephemeral_5m_input_tokens":10`, `"ephemeral_1h_input_tokens":5`, `"thinking_tokens":30`},
		"gemini":    {`"promptTokenCount":100`, `"candidatesTokenCount":20`, `"cachedContentTokenCount":20`, `"thoughtsTokenCount":30`, `"totalTokenCount":150`},
	} {
		for _, stream := range []bool{false, true} {
			a := apis[name]
			_, _, got := call(t, a.url(base, stream), a.header, a.body("mock:usage=100/50/20/10/5/30", stream))
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("%s: no %s in %s", name, w, got)
				}
			}
		}
	}
	if got := p.Billed(); got != (Usage{Prompt: 800, Completion: 400, Cached: 160, Written: 80, Written1h: 40, Reasoning: 240}) {
		t.Errorf("billed %+v", got)
	}
	for _, s := range p.Served() {
		if !s.Complete || !s.Reported || s.Status != 200 {
			t.Errorf("recorded %+v", s)
		}
	}
}

func TestArguments(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"object","properties":{"a":{"type":"string"},"b":{"enum":["x","y"]},"c":{"type":["integer","null"]},"d":{"type":"array","items":{"$ref":"#/$defs/n"}}},"$defs":{"n":{"anyOf":[{"type":"number","minimum":2.5}]}}}`: `{"a":"mock","b":"x","c":1,"d":[2.5]}`,
		`{"type":"OBJECT","properties":{"a":{"type":"BOOLEAN"},"b":{"const":"k"},"c":{"type":"null"}}}`:                                                                                                                             `{"a":true,"b":"k","c":null}`,
		`{"type":"object","properties":{}}`: `{}`,
		``:                                  `{"query":"mock"}`,
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/a"}}}}`: `[[[[[[[[null]]]]]]]]`,
	} {
		if got := (tool{Schema: json.RawMessage(text)}).arguments(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// What is forced happens without a script: a tool, a schema, JSON.
func TestForced(t *testing.T) {
	_, base := Start(t)
	base = strings.TrimSuffix(base, "/v1")
	s := json.RawMessage(`{"type":"object","properties":{"ok":{"type":"boolean"}},"additionalProperties":false}`)
	for name, cases := range map[string]map[string]object{
		"chat": {
			`"name":"get_weather"`: {"tool_choice": "required"}, `{\"ok\":true}`: {"response_format": object{"type": "json_schema", "json_schema": object{"schema": s}}},
			`{\"answer\":\"hi\"}`: {"response_format": object{"type": "json_object"}},
		},
		"responses": {
			`"name":"get_weather"`: {"tool_choice": object{"type": "function", "name": "get_weather"}}, `{\"ok\":true}`: {"text": object{"format": object{"type": "json_schema", "schema": s}}},
		},
		"messages": {
			`"name":"get_weather"`: {"tool_choice": object{"type": "tool", "name": "get_weather"}, "thinking": object{"type": "disabled"}},
			`{\"ok\":true}`:        {"output_config": object{"format": object{"type": "json_schema", "schema": s}}},
		},
		"gemini": {
			`"name":"get_weather"`: {"toolConfig": object{"functionCallingConfig": object{"mode": "ANY"}}},
			`{\"ok\":true}`:        {"generationConfig": object{"responseMimeType": "application/json", "responseJsonSchema": s}},
		},
	} {
		for want, more := range cases {
			body := apis[name].body("hi", false).(object)
			for k, v := range more {
				body[k] = v
			}
			if status, _, got := call(t, apis[name].url(base, false), apis[name].header, body); status != 200 || !strings.Contains(got, want) {
				t.Errorf("%s: %d %s, want %s", name, status, got, want)
			}
		}
	}
}

// A tool is called that the prompt speaks of, unless none may be.
func TestMeant(t *testing.T) {
	_, base := Start(t)
	base = strings.TrimSuffix(base, "/v1")
	none := map[string]object{
		"chat": {"tool_choice": "none"}, "responses": {"tool_choice": "none"}, "messages": {"tool_choice": object{"type": "none"}},
		"gemini": {"toolConfig": object{"functionCallingConfig": object{"mode": "NONE"}}},
	}
	for name, a := range apis {
		for prompt, want := range map[string]bool{"What's the Weather like?": true, "Hello": false, "mock:text=weather": false} {
			body := a.body(prompt, false).(object)
			calls := func() bool {
				_, _, got := call(t, a.url(base, false), a.header, body)
				return strings.Contains(strings.ReplaceAll(got, `\`, ""), `{"city":"mock"}`)
			}
			if calls() != want {
				t.Errorf("%s: %s: want %v", name, prompt, want)
			}
			maps.Copy(body, none[name])
			if calls() {
				t.Errorf("%s: %s with none", name, prompt)
			}
		}
	}
}

func TestEmbeddingsAndCounts(t *testing.T) {
	_, base := Start(t)
	var two, one struct {
		Data []struct {
			Embedding json.RawMessage
		}
	}
	status, _, got := call(t, base+"/embeddings", nil, object{"model": "e", "input": []any{"a", "b"}})
	if err := json.Unmarshal([]byte(got), &two); err != nil || status != 200 || len(two.Data) != 2 {
		t.Fatalf("%d %s", status, got)
	}
	_, _, got = call(t, base+"/embeddings", nil, object{"model": "e", "input": "a", "encoding_format": "base64", "dimensions": 2})
	if err := json.Unmarshal([]byte(got), &one); err != nil || len(one.Data) != 1 {
		t.Fatal(got)
	}
	if d := cmp.Diff(`"8wQ1P/MENT8="`, string(one.Data[0].Embedding)); d != "" {
		t.Error(d)
	}
	for _, bad := range []object{{"input": 1}, {"input": []any{}}, {"input": "a", "dimensions": -1}} {
		if status, _, got := call(t, base+"/embeddings", nil, bad); status != 400 {
			t.Errorf("%v: %d %s", bad, status, got)
		}
	}
	count := object{"model": "m", "messages": []any{object{"role": "user", "content": "four"}}}
	if status, _, got := call(t, base+"/messages/count_tokens", anthropicHeader, count); status != 200 || got != `{"input_tokens":4}` {
		t.Errorf("%d %s", status, got)
	}
	if status, _, got := call(t, base+"/messages/count_tokens", nil, count); status != 401 {
		t.Errorf("%d %s", status, got)
	}
	root := strings.TrimSuffix(base, "/v1")
	if status, _, _ := call(t, root+"/v1beta/models/m:countTokens", geminiHeader, object{}); status != 404 {
		t.Errorf("another method: %d", status)
	}
	if status, _, _ := call(t, root+"/v1beta/models/m:streamGenerateContent", geminiHeader, object{}); status != 400 {
		t.Errorf("a stream without alt=sse: %d", status)
	}
}

// Custom tools get free text.
func TestCustomTool(t *testing.T) {
	_, base := Start(t)
	body := object{"model": "m", "input": "mock:tool", "tools": []any{object{"type": "custom", "name": "run"}}}
	for _, stream := range []bool{false, true} {
		body["stream"] = stream
		_, _, got := call(t, base+"/responses", nil, body)
		if !strings.Contains(got, `"input":"mock"`) || !strings.Contains(got, `"type":"custom_tool_call"`) || strings.Contains(got, "response.custom_tool_call_input.done") != stream {
			t.Error(got)
		}
	}
	turn := json.RawMessage(`{"model":"m","input":[{"type":"custom_tool_call","call_id":"c","name":"run","input":"x"},{"type":"custom_tool_call_output","call_id":"c","output":"mock:text=done"}]}`)
	if status, _, got := call(t, base+"/responses", nil, turn); status != http.StatusOK || !strings.Contains(got, `"done"`) {
		t.Errorf("%d %s", status, got)
	}
}

// A call without arguments has one empty delta at Anthropic's.
func TestNoArguments(t *testing.T) {
	_, base := Start(t)
	body := object{"model": "m", "max_tokens": 9, "stream": true, "messages": []any{object{"role": "user", "content": "mock:tool"}},
		"tools": []any{object{"name": "f", "input_schema": object{"type": "object"}}}}
	_, _, got := call(t, base+"/messages", anthropicHeader, body)
	var names []string
	for line := range strings.Lines(got) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "event: "); ok {
			names = append(names, name)
		}
	}
	want := []string{"message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
	if !slices.Equal(names, want) || !strings.Contains(got, `"partial_json":""`) {
		t.Errorf("%v\n%s", names, got)
	}
}
