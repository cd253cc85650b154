package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"m","input":"x"}`: "",
		`{"model":"m","input":[{"role":"user","content":"x"}],"previous_response_id":null,"store":true}`: "",
		`{"model":"m","input":"x","previous_response_id":"resp_1"}`:                                      "unsupported_parameter previous_response_id",
		`{"model":"m","input":"x","conversation":"c"}`:                                                   "unsupported_parameter conversation",
		`{"model":"m","input":"x","prompt":{"id":"p"}}`:                                                  "unsupported_parameter prompt",
		`{"model":"m","input":"x","background":true}`:                                                    "unsupported_value background",
		`{"model":"m","input":"x","service_tier":"performance"}`:                                         "unsupported_value service_tier",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_audio"}]}]}`:                     "unsupported_parameter input",
		`{"model":"m","input":"x","tools":[{"type":"file_search"}]}`:                                     "unsupported_parameter tools",
		`{"model":"m","input":"x","tools":[{"type":"function","type":"code_interpreter","name":"f"}]}`:   "duplicate_parameter tools",
		`{"model":"m","input":"x","tools":[{"TYPE":"mcp"}]}`:                                             "unsupported_parameter tools",
		`{"model":"m","input":"x","tools":{}}`:                                                           "invalid_type tools",
		`{"model":"m"}`:                                                                                  "missing_required_parameter input",
		`{"model":"m","input":[]}`:                                                                       "empty_array input",
		`{"model":"m","input":[1]}`:                                                                      "invalid_type input",
		`{"model":"m","input":7}`:                                                                        "invalid_type input",
		`{"input":"x"}`:                                                                                  "missing_required_parameter model",
		`{"model":"m","Model":"n","input":"x"}`:                                                          "unknown_parameter model",
		`{"model":"m","model":"n","input":"x"}`:                                                          "duplicate_parameter model",
		`{"model":"m","input":"x","max_output_tokens":0}`:                                                "integer_below_min_value max_output_tokens",
		`{"model":"m","input":"x","max_output_tokens":"9"}`:                                              "invalid_type max_output_tokens",
		`{"model":"m","input":"x","stream":"yes"}`:                                                       "invalid_type stream",
		`{"model":"m","input":"x","instructions":["a"]}`:                                                 "invalid_type instructions",
		`{"model":"m","input":"x","n":2}`:                                                                "unsupported_value n",
		`{"model":"m","input":"x","reasoning":"high"}`:                                                   "invalid_type reasoning",
		`{"model":"m","input":"x"`:                                                                       "invalid_json ",
	} {
		_, err := New(noErrors{}).Parse("r", nil, []byte(body))
		got := ""
		if err != nil {
			got = err.Code + " " + err.Param
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestNeeds(t *testing.T) {
	r := request(t, `{"model":"m","stream":true,"max_output_tokens":9,"input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"https://x/y.png"}]}],
		"tools":[{"type":"function","name":"f"},{"type":"web_search"}],"reasoning":{"effort":"low"},"text":{"format":{"type":"json_object"}}}`)
	if diff := cmp.Diff([]string{"Vision", "Streaming", "Tools", "WebSearch", "Thinking", "JSON"}, r.Needs); diff != "" {
		t.Error(diff)
	}
	if !r.Stream || !r.Opaque || r.MaxOutputTokens != 9 || r.Searches != defaultSearches {
		t.Errorf("%+v", r)
	}
	if r := request(t, `{"model":"m","input":"x","tools":[{"type":"web_search"}],"max_tool_calls":3}`); r.Searches != 3 {
		t.Errorf("%d searches", r.Searches)
	}
}

func prompt(t testing.TB, r *chat.Request) *chat.Prompt {
	t.Helper()
	p, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDecode(t *testing.T) {
	p := prompt(t, request(t, `{"model":"m","instructions":"Be brief.","input":[
		{"role":"developer","content":"Rules."},
		{"type":"message","role":"user","content":[{"type":"input_text","text":"Look"},{"type":"input_image","image_url":"data:image/png;base64,QUJD","detail":"low"},
			{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,REVG"}]},
		{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"},
		{"type":"function_call","call_id":"c1","name":"f","arguments":""},
		{"type":"function_call","call_id":"c2","name":"g","arguments":"{\"a\":1}"},
		{"type":"function_call_output","call_id":"c1","output":"one"},
		{"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]}],
		"tools":[{"type":"function","name":"f","parameters":{"z":1,"a":2},"strict":true},{"type":"web_search","search_context_size":"low","filters":{"allowed_domains":["x.org"]}}],
		"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"}]},"parallel_tool_calls":false,
		"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},"verbosity":"low"},
		"reasoning":{"effort":"high","summary":"auto"},"max_output_tokens":50,"temperature":0.50,"unheard_of":1}`))
	yes, no := true, false
	want := &chat.Prompt{
		Messages: []chat.Message{
			{Role: chat.System, Parts: []chat.Part{{Kind: chat.PartText, Text: "Be brief."}}},
			{Role: chat.System, Parts: []chat.Part{{Kind: chat.PartText, Text: "Rules."}}},
			{Role: chat.User, Parts: []chat.Part{
				{Kind: chat.PartText, Text: "Look"},
				{Kind: chat.PartImage, Media: &chat.Media{Type: "image/png", Base64: "QUJD", Detail: "low"}},
				{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/pdf", Base64: "REVG", Name: "a.pdf"}},
			}},
			{Role: chat.Assistant, Parts: []chat.Part{
				{Kind: chat.PartThought, Thought: &chat.Thought{Text: "Hm.", Encrypted: "gAAA", Format: chat.FormatOpenAI, ID: "rs_1"}},
				{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c1", Name: "f", Arguments: "{}"}},
				{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c2", Name: "g", Arguments: `{"a":1}`}},
			}},
			{Role: chat.User, Parts: []chat.Part{
				{Kind: chat.PartResult, Result: &chat.Result{ID: "c1", Name: "f", Parts: []chat.Part{{Kind: chat.PartText, Text: "one"}}}},
				{Kind: chat.PartResult, Result: &chat.Result{ID: "c2", Name: "g", Parts: []chat.Part{{Kind: chat.PartText, Text: "two"}}}},
			}},
		},
		Tools:         []chat.Tool{{Name: "f", Schema: json.RawMessage(`{"z":1,"a":2}`), Strict: &yes}},
		ToolChoice:    chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"f"}},
		ParallelTools: &no, Choices: 1, MaxOutputTokens: 50, Temperature: "0.50", Verbosity: "low",
		Format:    &chat.Format{Schema: json.RawMessage(`{"type":"object"}`), Name: "n", Strict: &yes},
		Reasoning: &chat.Reasoning{Effort: "high", Summary: "auto"},
		Search:    &chat.Search{ContextSize: "low", AllowedDomains: []string{"x.org"}, MaxUses: defaultSearches, Assumed: true},
		Others:    []chat.Parameter{{Name: "unheard_of", Value: json.RawMessage("1")}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for body, param := range map[string]string{
		`{"model":"m","input":[{"type":"function_call_output","call_id":"x","output":"1"}]}`:                                   "input",
		`{"model":"m","input":[{"type":"function_call","call_id":"x","name":"f","arguments":"{"}]}`:                            "input",
		`{"model":"m","input":[{"type":"function_call","name":"f"}]}`:                                                          "input",
		`{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}`:                                                       "input",
		`{"model":"m","input":[{"type":"computer_call"}]}`:                                                                     "input",
		`{"model":"m","input":[{"role":"robot","content":"x"}]}`:                                                               "input",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"ftp://x"}]}]}`:                     "input",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png,raw"}]}]}`:          "input",
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"f","file_url":"https://x/y.pdf"}]}]}`: "input",
		`{"model":"m","input":[{"role":"user","content":[{"type":"hologram"}]}]}`:                                              "input",
		`{"model":"m","input":"x","tools":[{"type":"function"}]}`:                                                              "tools",
		`{"model":"m","input":"x","reasoning":{"effort":"huge"}}`:                                                              "reasoning.effort",
		`{"model":"m","input":"x","tool_choice":"sometimes"}`:                                                                  "tool_choice",
		`{"model":"m","input":"x","tool_choice":{"type":"mcp"}}`:                                                               "tool_choice",
		`{"model":"m","input":"x","text":{"format":{"type":"yaml"}}}`:                                                          "text.format.type",
		`{"model":"m","input":"x","text":{"format":{"type":"json_schema"}}}`:                                                   "text.format.schema",
		`{"model":"m","input":"x","temperature":"warm"}`:                                                                       "temperature",
	} {
		_, err := request(t, body).Translate()
		var e *chat.Error
		if !errors.As(err, &e) || e.Param != param || e.Status != 400 {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("../../../../shared/wire/openai/openai-responses-*/request.body.json")
	if err != nil || len(files) == 0 {
		t.Skip("no recordings here")
	}
	read := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.ReplaceAll(body, []byte(`"flex"`), []byte(`"auto"`))
		r, failed := New(noErrors{}).Parse("r", nil, body)
		if failed != nil {
			t.Logf("%s: %v", filepath.Base(filepath.Dir(file)), failed)
			continue
		}
		if p, err := r.Translate(); err != nil || len(p.Messages) == 0 {
			t.Logf("%s: %v", filepath.Base(filepath.Dir(file)), err)
			continue
		}
		read++
	}
	if t.Logf("%d of %d are understood", read, len(files)); read < len(files)/2 {
		t.Error("most are not understood")
	}
}
