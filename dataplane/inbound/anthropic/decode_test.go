package anthropic

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func prompted(t *testing.T, in string) (*chat.Prompt, error) {
	t.Helper()
	r, e := parsed(in)
	if e != nil {
		t.Fatalf("%s: %v", in, e)
	}
	return r.Translate()
}

func is[T any](v T) *T { return &v }

var hi = chat.Message{Role: chat.User, Parts: []chat.Part{textPart("hi")}}

// plain is what body gives, changed by f.
func plain(f func(p *chat.Prompt)) *chat.Prompt {
	p := &chat.Prompt{Messages: []chat.Message{hi}, MaxOutputTokens: 100, Choices: 1}
	f(p)
	return p
}

// Everything but the conversation.
func TestDecodeOptions(t *testing.T) {
	for in, want := range map[string]func(p *chat.Prompt){
		``:                        func(*chat.Prompt) {},
		`"max_tokens":7`:          func(p *chat.Prompt) { p.MaxOutputTokens = 7 },
		`"max_tokens":0`:          func(p *chat.Prompt) { p.MaxOutputTokens = 1 },
		`"temperature":0.70`:      func(p *chat.Prompt) { p.Temperature = "0.70" },
		`"top_p":1e-1,"top_k":40`: func(p *chat.Prompt) { p.TopP, p.TopK = "1e-1", is[int64](40) },
		`"stop_sequences":["a","b\n"],"metadata":{"user_id":"u","x":1}`:       func(p *chat.Prompt) { p.Stop, p.User = []string{"a", "b\n"}, "u" },
		`"metadata":{"user_id":null},"stop_sequences":[],"temperature":null`:  func(*chat.Prompt) {},
		`"cache_control":{"type":"ephemeral"}`:                                func(p *chat.Prompt) { p.Cache = "5m" },
		`"cache_control":{"type":"ephemeral","ttl":"1h"}`:                     func(p *chat.Prompt) { p.Cache = "1h" },
		`"thinking":{"type":"disabled"}`:                                      func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Off: true} },
		`"thinking":{"type":"enabled","budget_tokens":50}`:                    func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 50} },
		`"thinking":{"type":"adaptive","display":"omitted"}`:                  func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Adaptive: true, Summary: "omitted"} },
		`"thinking":{"type":"between_tools","display":"updates"}`:             func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Adaptive: true, Summary: "summarized"} },
		`"output_config":{"effort":"xhigh"}`:                                  func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "xhigh"} },
		`"output_config":{"effort":"low"},"thinking":{"type":"adaptive"}`:     func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "low", Adaptive: true} },
		`"output_config":{"effort":null,"format":null}`:                       func(*chat.Prompt) {},
		`"output_config":{"format":{"type":"json_schema","schema":{"b":1}}}`:  func(p *chat.Prompt) { p.Format = &chat.Format{Schema: json.RawMessage(`{"b":1}`)} },
		`"output_format":{"type":"json_schema","name":"n","schema":{"b": 1}}`: func(p *chat.Prompt) { p.Format = &chat.Format{Name: "n", Schema: json.RawMessage(`{"b": 1}`)} },
		`"system":"be brief"`: func(p *chat.Prompt) {
			p.Messages = []chat.Message{{Role: chat.System, Parts: []chat.Part{textPart("be brief")}}, hi}
		},
		`"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":""},{"type":"text","text":"b"}]`: func(p *chat.Prompt) {
			p.Messages = []chat.Message{{Role: chat.System, Parts: []chat.Part{{Kind: chat.PartText, Text: "a", Cache: "1h"}, textPart("b")}}, hi}
		},
		`"system":""`: func(*chat.Prompt) {},
		`"system":[]`: func(*chat.Prompt) {},
		`"service_tier":"auto","speed":"standard","inference_geo":"global","stream":true`: func(*chat.Prompt) {},
		`"diagnostics":{"previous_message_id":"m"},"seed":4,"unset":null,"output_config":{"task_budget":{"total":9}}`: func(p *chat.Prompt) {
			p.Others = []chat.Parameter{{Name: "output_config.task_budget", Value: json.RawMessage(`{"total":9}`)}, {Name: "diagnostics", Value: json.RawMessage(`{"previous_message_id":"m"}`)}, {Name: "seed", Value: json.RawMessage(`4`)}}
		},
	} {
		got, err := prompted(t, body(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff(plain(want), got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

func TestDecodeTools(t *testing.T) {
	const f = `{"name":"f","description":"d","input_schema":{"z":1,"a":1.0},"strict":true,"eager_input_streaming":true,"defer_loading":true,"cache_control":{"type":"ephemeral"}}`
	tf := chat.Tool{Name: "f", Description: "d", Schema: json.RawMessage(`{"z":1,"a":1.0}`), Strict: is(true), Cache: "5m"}
	for in, want := range map[string]func(p *chat.Prompt){
		`"tools":[` + f + `,{"type":"custom","name":"g","strict":false}]`: func(p *chat.Prompt) { p.Tools = []chat.Tool{tf, {Name: "g", Strict: is(false)}} },
		`"tools":[` + f + `],"tool_choice":{"type":"auto"}`: func(p *chat.Prompt) {
			p.Tools, p.ToolChoice.Mode = []chat.Tool{tf}, chat.ChooseAuto
		},
		`"tools":[` + f + `],"tool_choice":{"type":"any","disable_parallel_tool_use":true}`: func(p *chat.Prompt) {
			p.Tools, p.ToolChoice.Mode, p.ParallelTools = []chat.Tool{tf}, chat.ChooseRequired, is(false)
		},
		`"tools":[` + f + `],"tool_choice":{"type":"none","disable_parallel_tool_use":false}`: func(p *chat.Prompt) {
			p.Tools, p.ToolChoice.Mode, p.ParallelTools = []chat.Tool{tf}, chat.ChooseNone, is(true)
		},
		`"tool_choice":{"name":"f","type":"tool"},"tools":[` + f + `]`: func(p *chat.Prompt) {
			p.Tools, p.ToolChoice = []chat.Tool{tf}, chat.ToolChoice{Mode: chat.ChooseTool, Name: "f"}
		},
		`"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3,"allowed_domains":["a","b"],"blocked_domains":[],"user_location":{"type":"approximate","city":"Bern"}}]`: func(p *chat.Prompt) {
			p.Search = &chat.Search{MaxUses: 3, AllowedDomains: []string{"a", "b"}, Location: json.RawMessage(`{"type":"approximate","city":"Bern"}`)}
		},
		`"tools":[{"type":"web_search_20250305","name":"web_search","blocked_domains":["a"],"user_location":null}],"tool_choice":{"type":"tool","name":"web_search"}`: func(p *chat.Prompt) {
			p.Search = &chat.Search{BlockedDomains: []string{"a"}, Forced: true}
		},
		`"tools":[{"type":"tool_search_tool_bm25_20251119","name":"t"},{"name":"g","input_examples":[{}]}]`: func(p *chat.Prompt) {
			p.Tools = []chat.Tool{{Name: "g"}}
			p.Others = []chat.Parameter{{Name: "tools.tool_search_tool_bm25_20251119", Value: json.RawMessage(`{"type":"tool_search_tool_bm25_20251119","name":"t"}`)}, {Name: "tools.input_examples", Value: json.RawMessage(`[{}]`)}}
		},
	} {
		got, err := prompted(t, body(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff(plain(want), got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// said makes a conversation out of messages.
func talk(messages string) string { return body(`"messages":[` + messages + `]`) }

func assistant(blocks string) string { return `{"role":"assistant","content":[` + blocks + `]}` }

func user(blocks string) string { return `{"role":"user","content":[` + blocks + `]}` }

func media(kind chat.PartKind, m chat.Media) chat.Part { return chat.Part{Kind: kind, Media: &m} }

// Every block of a user's message.
func TestDecodeUserBlocks(t *testing.T) {
	for in, want := range map[string][]chat.Part{
		`{"type":"text","text":"<a>","cache_control":{"type":"ephemeral"}},{"type":"text","text":""}`:                  {{Kind: chat.PartText, Text: "<a>", Cache: "5m"}},
		`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}`:                           {media(chat.PartImage, chat.Media{Type: "image/png", Base64: "AA=="})},
		`{"type":"image","source":{"type":"url","url":"https://x"},"cache_control":{"type":"ephemeral","ttl":"1h"}}`:   {{Kind: chat.PartImage, Media: &chat.Media{URL: "https://x"}, Cache: "1h"}},
		`{"type":"document","title":"t","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}`:      {media(chat.PartDocument, chat.Media{Type: "application/pdf", Base64: "JVBE", Name: "t"})},
		`{"type":"document","source":{"type":"url","url":"https://x"},"citations":{"enabled":true}}`:                   {media(chat.PartDocument, chat.Media{URL: "https://x"})},
		`{"type":"document","title":null,"context":"c","source":{"type":"text","media_type":"text/plain","data":"d"}}`: {textPart("c"), media(chat.PartDocument, chat.Media{Type: "text/plain", Text: "d"})},
		`{"type":"document","title":"t","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"url","url":"u"}},{"type":"text","text":"b"}]}}`: {
			media(chat.PartDocument, chat.Media{Type: "text/plain", Text: "a\n\nb", Name: "t"}), media(chat.PartImage, chat.Media{URL: "u"}),
		},
		`{"type":"document","source":{"type":"content","content":"a"}}`:                                                                         {media(chat.PartDocument, chat.Media{Type: "text/plain", Text: "a"})},
		`{"type":"search_result","title":"t","source":"https://x","content":[{"type":"text","text":"a"}],"cache_control":{"type":"ephemeral"}}`: {{Kind: chat.PartText, Text: "t (https://x)\n\na", Cache: "5m"}},
	} {
		got, err := prompted(t, talk(user(in)))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff([]chat.Message{{Role: chat.User, Parts: want}}, got.Messages); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// Every block of an assistant's message, and the results of its calls.
func TestDecodeAssistantBlocks(t *testing.T) {
	const call = `{"type":"tool_use","id":"a","name":"f","input":{"x" : 1.0}}`
	calls := callPart(chat.ToolCall{ID: "a", Name: "f", Arguments: `{"x" : 1.0}`})
	result := func(r chat.Result) chat.Message {
		r.ID, r.Name = "a", "f"
		return chat.Message{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartResult, Result: &r}}}
	}
	says := func(parts ...chat.Part) chat.Message { return chat.Message{Role: chat.Assistant, Parts: parts} }
	for in, want := range map[string][]chat.Message{
		assistant(`{"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"u","title":null,"cited_text":"q","encrypted_index":"e"},{"type":"char_location","cited_text":"q"}]}`): {
			says(chat.Part{Kind: chat.PartText, Text: "a", Citations: []chat.Citation{{URL: "u", Quote: "q"}}}),
		},
		assistant(`{"type":"thinking","thinking":"t","signature":"E=="},{"type":"redacted_thinking","data":"d"},`+call) + "," + user(`{"type":"tool_result","tool_use_id":"a","content":"ok"}`): {
			says(thoughtPart(chat.Thought{Text: "t", Signature: "E==", Format: chat.FormatAnthropic}), thoughtPart(chat.Thought{Encrypted: "d", Format: chat.FormatAnthropic}), calls),
			result(chat.Result{Parts: []chat.Part{textPart("ok")}}),
		},
		assistant(call) + "," + user(`{"type":"tool_result","tool_use_id":"a","is_error":true,"content":[{"type":"text","text":"no"},{"type":"image","source":{"type":"url","url":"u"}},{"type":"tool_reference","tool_name":"g"},{"type":"search_result","title":"t","source":"s","content":[]}]}`): {
			says(calls),
			result(chat.Result{Failed: true, Parts: []chat.Part{textPart("no"), media(chat.PartImage, chat.Media{URL: "u"}), textPart("The tool g is available."), textPart("t (s)")}}),
		},
		assistant(call) + "," + user(`{"type":"tool_result","tool_use_id":"a","content":null,"is_error":null}`): {says(calls), result(chat.Result{})},
		assistant(call) + "," + user(`{"type":"tool_result","tool_use_id":"a","content":""}`):                   {says(calls), result(chat.Result{})},
		assistant(`{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"T","url":"u","encrypted_content":"e"}]},{"type":"text","text":"a"}`): {says(textPart("a"))},
		assistant(`{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"T","url":"u"},{"title":"V","url":"w"}]},{"type":"web_search_tool_result","tool_use_id":"s","content":{"error_code":"unavailable"}}`):               {says(textPart("A web search found:\n- T (u)\n- V (w)"))},
		assistant(`{"type":"code_execution_tool_result","tool_use_id":"s","content":{}},{"type":"mcp_tool_use","id":"m"},{"type":"fallback"},{"type":"text","text":"a"}`):                                                                                                {says(textPart("a"))},
		`{"role":"assistant","content":"a"},{"role":"system","content":"b"},{"role":"system","output_config":{"effort":"low"}},{"role":"assistant","content":""}`:                                                                                                        {says(textPart("a")), {Role: chat.System, Parts: []chat.Part{textPart("b")}}},
		assistant(`{"type":"thinking","thinking":"","signature":""}`) + `,{"role":"user","content":"b"}`:                                                                                                                                                                 {{Role: chat.User, Parts: []chat.Part{textPart("b")}}},
		`{"role":"user","content":[{"type":"compaction","content":"so far"}]}`:                                                                                                                                                                                           {{Role: chat.User, Parts: []chat.Part{textPart("so far")}}},
	} {
		got, err := prompted(t, talk(`{"role":"user","content":"hi"},`+in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff(append([]chat.Message{hi}, want...), got.Messages); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// Tools that come and go in mid-conversation are there from the beginning, or not at all.
func TestDecodeToolChanges(t *testing.T) {
	got, err := prompted(t, body(`"tools":[{"name":"a"},{"name":"b"},{"name":"c"}],"messages":[{"role":"user","content":"hi"},
		{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"a"}},{"type":"tool_removal","tool":{"type":"tool_reference","name":"b"}}]},
		{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_reference","name":"b"}},{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"c","description":"new"}}}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]chat.Tool{{Name: "b"}, {Name: "c", Description: "new"}}, got.Tools); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]chat.Message{hi}, got.Messages); d != "" {
		t.Error(d)
	}
}

// What a prompt cannot say is refused, with its place; the request itself is taken, for Anthropic's own models.
func TestDecodeRefuses(t *testing.T) {
	for in, place := range map[string]string{
		body(`"temperature":"hot"`):                                           "temperature",
		body(`"top_p":[]`):                                                    "top_p",
		body(`"top_k":1.5`):                                                   "top_k",
		body(`"stop_sequences":"a"`):                                          "stop_sequences",
		body(`"stop_sequences":["a",1]`):                                      "stop_sequences.1",
		body(`"metadata":[]`):                                                 "metadata",
		body(`"metadata":{"user_id":1}`):                                      "metadata.user_id",
		body(`"thinking":{}`):                                                 "thinking.type",
		body(`"thinking":{"type":"deep"}`):                                    "thinking.type",
		body(`"output_config":{"effort":"huge"}`):                             "output_config.effort",
		body(`"output_config":{"effort":1}`):                                  "output_config.effort",
		body(`"output_config":{"format":{"type":"xml"}}`):                     "output_config.format.type",
		body(`"output_format":{"type":"json_schema"}`):                        "output_config.format.schema",
		body(`"tool_choice":{"type":"some"}`):                                 "tool_choice.type",
		body(`"tool_choice":{"type":"tool","name":"web_search"}`):             "tool_choice",
		body(`"tool_choice":{"type":"auto","disable_parallel_tool_use":1}`):   "tool_choice.disable_parallel_tool_use",
		body(`"tools":[{"name":1}]`):                                          "tools.0.name",
		body(`"tools":[{"name":"a","input_schema":[]}]`):                      "tools.0.input_schema",
		body(`"tools":[{"name":"a"},{"type":"bash_20250124","name":"bash"}]`): "tools",
		body(`"tools":[{"type":"web_search_20250305","allowed_domains":["a"],"blocked_domains":["b"]}]`): "tools.0",
		body(`"tools":[{"type":"web_search_20250305","user_location":"Bern"}]`):                          "tools.0.user_location",
		body(`"system":[{"type":"image"}]`):                                                              "system.0",
		talk(`{"role":"tool","content":"x"}`):                                                            "messages.0.role",
		talk(`{"content":"x"}`):                                                                          "messages.0.role",
		talk(`{"role":"user"}`):                                                                          "messages.0.content",
		talk(`{"role":"user","content":[]}`):                                                             "messages.0.content",
		talk(`{"role":"user","content":[{"type":"text","text":""}]}`):                                    "messages.0.content",
		talk(`{"role":"assistant","content":[]},{"role":"user","content":"x"}`):                          "messages.0",
		talk(`{"role":"assistant","content":[]}`):                                                        "messages",
		talk(user(`{"type":"hologram"}`)):                                                                "messages.0.content.0",
		talk(user(`{}`)):                                                                                 "messages.0.content.0.type",
		talk(user(`"x"`)):                                                                                "messages.0.content.0",
		talk(user(`{"type":"text"}`)):                                                                    "messages.0.content.0.text",
		talk(user(`{"type":"tool_use","id":"a","name":"f","input":{}}`)):                                 "messages.0.content.0",
		talk(user(`{"type":"thinking","thinking":"a"}`)):                                                 "messages.0.content.0",
		talk(user(`{"type":"tool_result","tool_use_id":"lost","content":"x"}`)):                          "messages.0.content.0",
		talk(user(`{"type":"image","source":{"type":"file","file_id":"f"}}`)):                            "messages.0.content.0.source",
		talk(user(`{"type":"image","source":{"type":"text","media_type":"text/plain","data":"x"}}`)):     "messages.0.content.0.source.type",
		talk(user(`{"type":"image","source":{"type":"base64","data":"x"}}`)):                             "messages.0.content.0.source.media_type",
		talk(user(`{"type":"image"}`)):                                                                   "messages.0.content.0.source",
		talk(user(`{"type":"document","source":{"type":"content"}}`)):                                    "messages.0.content.0.source.content",
		talk(user(`{"type":"compaction","encrypted_content":"x"}`)):                                      "messages.0.content.0",
		talk(assistant(`{"type":"tool_use","id":"a","name":"f","input":"{}"}`)):                          "messages.0.content.0.input",
		talk(assistant(`{"type":"tool_use","id":"a","name":"f"}`)):                                       "messages.0.content.0.input",
		talk(assistant(`{"type":"tool_use","name":"f","input":{}}`)):                                     "messages.0.content.0.id",
		talk(assistant(`{"type":"image","source":{"type":"url","url":"u"}}`)):                            "messages.0.content.0",
		body(`"thinking":{"type":"adaptive","display":1}`):                                               "thinking.display",
		body(`"tools":[{"name":"a","description":1}]`):                                                   "tools.0.description",
		body(`"tools":[{"name":"a","strict":"yes"}]`):                                                    "tools.0.strict",
		body(`"tools":[{"type":"web_search_20250305","allowed_domains":"a"}]`):                           "tools.0.allowed_domains",
		body(`"tools":[{"type":"web_search_20250305","blocked_domains":[1]}]`):                           "tools.0.blocked_domains.0",
		body(`"tool_choice":{}`):                                                                         "tool_choice.type",
		body(`"tool_choice":{"type":"tool"}`):                                                            "tool_choice.name",
		talk(user(`{"type":"tool_result"}`)):                                                             "messages.0.content.0.tool_use_id",
		talk(user(`{"type":"document","title":1,"source":{}}`)):                                          "messages.0.content.0.title",
		talk(user(`{"type":"document","context":1,"source":{}}`)):                                        "messages.0.content.0.context",
		talk(user(`{"type":"document","source":{"type":"url"}}`)):                                        "messages.0.content.0.source.url",
		talk(user(`{"type":"document","source":{"type":"base64"}}`)):                                     "messages.0.content.0.source.data",
		talk(user(`{"type":"document","source":{"type":"text"}}`)):                                       "messages.0.content.0.source.data",
		talk(user(`{"type":"document","source":{}}`)):                                                    "messages.0.content.0.source.type",
		talk(user(`{"type":"search_result","title":1}`)):                                                 "messages.0.content.0.title",
		talk(user(`{"type":"search_result","source":1}`)):                                                "messages.0.content.0.source",
		talk(user(`{"type":"search_result"}`)):                                                           "messages.0.content.0.content",
		talk(user(`{"type":"compaction","content":1}`)):                                                  "messages.0.content.0.content",
		talk(user(`{"type":"tool_reference"}`)):                                                          "messages.0.content.0.tool_name",
		talk(user(`{"type":"text","text":"x","cache_control":true}`)):                                    "messages.0.content.0.cache_control",
		talk(assistant(`{"type":"tool_use","id":"a","input":{}}`)):                                       "messages.0.content.0.name",
		talk(assistant(`{"type":"thinking"}`)):                                                           "messages.0.content.0.thinking",
		talk(assistant(`{"type":"thinking","thinking":"","signature":1}`)):                               "messages.0.content.0.signature",
		talk(assistant(`{"type":"redacted_thinking"}`)):                                                  "messages.0.content.0.data",
		talk(assistant(`{"type":"tool_use","id":"a","name":"f","input":{}}`) + "," + user(`{"type":"tool_result","tool_use_id":"a","is_error":"no"}`)):                                      "messages.1.content.0.is_error",
		talk(assistant(`{"type":"tool_use","id":"a","name":"f","input":{}}`) + "," + user(`{"type":"tool_result","tool_use_id":"a","content":[{"type":"tool_result","tool_use_id":"a"}]}`)): "messages.1.content.0.content.0",
		talk(assistant(`{"type":"tool_use","id":"a","name":"f","input":{}}`) + "," + user(`{"type":"tool_result","tool_use_id":"a","content":{}}`)):                                         "messages.1.content.0.content",
		talk(`{"role":"system","content":[{"type":"tool_removal"}]}`):                                                                                                                       "messages.0.content.0.tool",
		talk(`{"role":"system","content":[{"type":"tool_removal","tool":{}}]}`):                                                                                                             "messages.0.content.0.tool.name",
		talk(`{"role":"system","content":[{"type":"tool_addition","tool":1}]}`):                                                                                                             "messages.0.content.0.tool",
		talk(`{"role":"system","content":[{"type":"tool_addition","tool":{"definition":{}}}]}`):                                                                                             "messages.0.content.0.tool.definition.name",
	} {
		_, err := prompted(t, in)
		var e *chat.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if e.Status != 400 || e.Param != place || e.Message == "" || !strings.Contains(e.Message, strings.SplitN(place, ".", 2)[0]) {
			t.Errorf("%s: %d %q %s", in, e.Status, e.Param, e.Message)
		}
	}
}

// The last word on effort counts.
func TestDecodeEffort(t *testing.T) {
	later := func(config string) string {
		return `{"role":"user","content":"hi"},{"role":"system","content":"deeper","output_config":` + config + `}`
	}
	for in, want := range map[string]string{
		talk(later(`{"effort":"max"}`)): "max",
		body(`"output_config":{"effort":"low"},"messages":[` + later(`{"effort":"max"}`) + `]`): "max",
		body(`"output_config":{"effort":"low"},"messages":[` + later(`{"effort":null}`) + `]`):  "low",
	} {
		p, err := prompted(t, in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if p.Reasoning == nil || p.Reasoning.Effort != want {
			t.Errorf("%s: %+v", in, p.Reasoning)
		}
	}
	if _, err := prompted(t, talk(later(`{"effort":1}`))); err == nil {
		t.Error("a number is taken")
	}
}

// What Claude Code sends, as others see it: schemas, arguments and breakpoints are the client's own.
func TestDecodeClaudeCode(t *testing.T) {
	got, err := prompted(t, claudeCode)
	if err != nil {
		t.Fatal(err)
	}
	want := &chat.Prompt{
		Messages: []chat.Message{
			{Role: chat.System, Parts: []chat.Part{textPart("x-header: 1"), {Kind: chat.PartText, Text: "You are a coding agent.", Cache: "1h"}}},
			{Role: chat.User, Parts: []chat.Part{textPart("<system-reminder>be kind</system-reminder>"), {Kind: chat.PartText, Text: "list", Cache: "5m"}}},
			{Role: chat.Assistant, Parts: []chat.Part{
				thoughtPart(chat.Thought{Signature: "EqQB", Format: chat.FormatAnthropic}),
				callPart(chat.ToolCall{ID: "toolu_1", Name: "Bash", Arguments: `{"command":"ls"}`}),
			}},
			{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartResult, Result: &chat.Result{ID: "toolu_1", Name: "Bash", Parts: []chat.Part{textPart("a\nb")}}}}},
		},
		Tools: []chat.Tool{{
			Name: "Bash", Description: "runs",
			Schema: json.RawMessage(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"command":{"type":"string"}},"required":["command"],"additionalProperties":false}`),
		}},
		Reasoning: &chat.Reasoning{Adaptive: true, Effort: "high"}, MaxOutputTokens: 32000, Choices: 1, Temperature: "1",
		User:   `{"device_id":"d","session_id":"s"}`,
		Others: []chat.Parameter{{Name: "context_management", Value: json.RawMessage(`{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}`)}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The prompt is read once, and not before it is asked for.
func TestTranslateOnce(t *testing.T) {
	r, e := parsed(body(`"temperature":"hot"`))
	if e != nil {
		t.Fatal(e)
	}
	_, first := r.Translate()
	if _, second := r.Translate(); first == nil || first != second {
		t.Error("read twice")
	}
}
