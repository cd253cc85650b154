package perplexity

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestRequests(t *testing.T) {
	yes := true
	tools := []chat.Tool{{Name: "f", Schema: json.RawMessage(`{"type":"object"}`)}, {Name: "g", Strict: &yes}}
	const (
		f      = `{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}`
		g      = `{"type":"function","name":"g","parameters":{"type":"object","properties":{}},"strict":true}`
		search = `{"type":"web_search"}`
	)
	for name, c := range map[string]struct {
		model   string
		prompt  chat.Prompt
		want    string // members beside the input
		dropped []string
	}{
		"sonar":            {"sonar", chat.Prompt{}, `{"model":"perplexity/sonar","tools":[` + search + `],"tool_choice":"required"}`, nil},
		"sonar-pro":        {"sonar-pro", chat.Prompt{MaxOutputTokens: 9, Temperature: "0.2", TopP: "0.9"}, `{"model":"perplexity/sonar","tools":[` + search + `],"tool_choice":"required","max_output_tokens":9,"temperature":0.2,"top_p":0.9}`, nil},
		"sonar with tools": {"sonar", chat.Prompt{Tools: tools}, `{"model":"perplexity/sonar","tools":[` + f + `,` + g + `,` + search + `],"tool_choice":{"type":"web_search"}}`, nil},
		"sonar, no tools":  {"sonar", chat.Prompt{Tools: tools, ToolChoice: chat.ToolChoice{Mode: chat.ChooseNone}}, `{"model":"perplexity/sonar","tools":[` + search + `],"tool_choice":"required"}`, nil},
		"the new name":     {"perplexity/sonar", chat.Prompt{}, `{"model":"perplexity/sonar","tools":[` + search + `]}`, nil},
		"must search":      {"perplexity/sonar", chat.Prompt{Search: &chat.Search{Forced: true}}, `{"model":"perplexity/sonar","tools":[` + search + `],"tool_choice":"required"}`, nil},
		"a preset":         {"fast", chat.Prompt{}, `{"preset":"fast"}`, nil},
		"a preset's tools": {"high", chat.Prompt{Tools: tools[:1]}, `{"preset":"high","tools":[` + f + `,` + search + `]}`, nil},
		"another's model":  {"openai/gpt-5.6-sol", chat.Prompt{Reasoning: &chat.Reasoning{Effort: "high"}}, `{"model":"openai/gpt-5.6-sol","reasoning":{"effort":"high"}}`, nil},
		"thinks not":       {"openai/gpt-5.6-sol", chat.Prompt{Reasoning: &chat.Reasoning{Off: true}}, `{"model":"openai/gpt-5.6-sol","reasoning":{"effort":"minimal"}}`, nil},
		"sonar thinks not": {"perplexity/sonar", chat.Prompt{Reasoning: &chat.Reasoning{Effort: "high"}}, `{"model":"perplexity/sonar","tools":[` + search + `]}`, []string{"reasoning_effort"}},
		"forced tool":      {"openai/x", chat.Prompt{Tools: tools[:1], ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "f"}}, `{"model":"openai/x","tools":[` + f + `],"tool_choice":{"type":"function","name":"f"}}`, nil},
		"allowed tools":    {"openai/x", chat.Prompt{Tools: tools, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"g"}}}, `{"model":"openai/x","tools":[` + g + `],"tool_choice":"required"}`, nil},
		"a choice of none": {"openai/x", chat.Prompt{ToolChoice: chat.ToolChoice{Mode: chat.ChooseAuto}}, `{"model":"openai/x"}`, nil},
		"schema":           {"openai/x", chat.Prompt{Format: &chat.Format{Name: "n", Schema: json.RawMessage(`{"type":"object"}`), Strict: &yes}}, `{"model":"openai/x","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}}}`, nil},
		"JSON":             {"openai/x", chat.Prompt{Format: &chat.Format{}}, `{"model":"openai/x","response_format":{"type":"json_schema","json_schema":{"name":"response","schema":{"type":"object"}}}}`, nil},
		"search, in detail": {"openai/x", chat.Prompt{
			Search: &chat.Search{ContextSize: "low", AllowedDomains: []string{"a.com"}, MaxUses: 3, Location: json.RawMessage(`{"type":"approximate","city":"Utrecht","region":null,"timezone":"x"}`)},
			Others: []chat.Parameter{{Name: "search_recency_filter", Value: json.RawMessage(`"week"`)}, {Name: "language_preference", Value: json.RawMessage(`"nl"`)}},
		}, `{"model":"openai/x","language_preference":"nl","tools":[{"type":"web_search","search_context_size":"low","user_location":{"city":"Utrecht"},"filters":{"search_domain_filter":["a.com"],"search_recency_filter":"week"}}]}`, []string{"web_search_options.max_uses"}},
		"bounded by the gateway": {"openai/x", chat.Prompt{Search: &chat.Search{MaxUses: 10, Assumed: true}}, `{"model":"openai/x","tools":[{"type":"web_search"}]}`, nil},
		"pages kept out":         {"openai/x", chat.Prompt{Search: &chat.Search{BlockedDomains: []string{"b.com"}}}, `{"model":"openai/x","tools":[{"type":"web_search","filters":{"search_domain_filter":["-b.com"]}}]}`, nil},
		"what it has not": {"openai/x", chat.Prompt{
			Stop: []string{"x"}, Seed: new(int64), PresencePenalty: "1", Logprobs: true, User: "u", Verbosity: "low", Tools: tools[:1], ParallelTools: new(bool),
			Others: []chat.Parameter{{Name: "metadata", Value: json.RawMessage(`{}`)}, {Name: "store", Value: json.RawMessage(`true`)}},
		}, `{"model":"openai/x","tools":[` + f + `]}`, []string{"stop", "seed", "presence_penalty", "parallel_tool_calls", "logprobs", "user", "verbosity", "metadata", "store"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.prompt
			p.Choices, p.Messages = 1, hi().Messages
			cc := call("", c.model, &p, true)
			body, dropped, err := prepare(cc)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"stream": true, "input": []any{map[string]any{"type": "message", "role": "user", "content": "hi"}}}
			var got map[string]any
			if err := errors.Join(json.Unmarshal([]byte(c.want), &want), json.Unmarshal(body, &got)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if !slices.Equal(c.dropped, dropped) {
				t.Errorf("dropped %v", dropped)
			}
			cc.Strict = true
			_, _, err = prepare(cc)
			var e *chat.Error
			if refused := errors.As(err, &e); refused != (len(c.dropped) > 0) || refused && (e.Code != "unsupported_parameter" || e.Param != c.dropped[0]) {
				t.Errorf("strict: %v", err)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	fail := errors.New("no")
	several, custom := hi(), hi()
	several.Choices = 2
	custom.Tools = []chat.Tool{{Name: "h", Custom: true}}
	for name, c := range map[string]struct {
		translate func() (*chat.Prompt, error)
		param     string
	}{
		"no translation": {nil, ""},
		"a bad one":      {func() (*chat.Prompt, error) { return nil, fail }, ""},
		"a refused one":  {func() (*chat.Prompt, error) { return nil, &chat.Error{Status: 400, Param: "messages"} }, "messages"},
		"several":        {func() (*chat.Prompt, error) { return several, nil }, "n"},
		"custom tools":   {func() (*chat.Prompt, error) { return custom, nil }, "tools"},
	} {
		cc := call("", "sonar", hi(), false)
		cc.Request.Translate = c.translate
		_, _, err := prepare(cc)
		var e *chat.Error
		if !errors.As(err, &e) || e.Status != 400 || e.Param != c.param {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
