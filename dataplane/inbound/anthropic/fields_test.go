package anthropic

import (
	"fmt"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

// body makes a request out of the usual fields and the given ones, which replace the usual ones of their name.
func body(more string) string {
	out := `{"model":"m"`
	if !strings.Contains(more, `"max_tokens"`) {
		out += `,"max_tokens":100`
	}
	if !strings.Contains(more, `"messages"`) {
		out += `,"messages":[{"role":"user","content":"hi"}]`
	}
	if more != "" {
		out += "," + more
	}
	return out + "}"
}

// tries has, for every field that changes a price, values that are taken and values that are refused.
var tries = map[string]struct {
	taken, refused []string
	// extra is what the first of taken adds to the output that is held for.
	extra int64
}{
	"model":              {refused: []string{`"dear"`}}, // a second one
	"messages":           {taken: []string{`[{"role":"user","content":[{"type":"text","text":"x"}]}]`}, refused: []string{`[]`, `{}`, `["x"]`, `[{"role":"user","content":[{"type":"container_upload","file_id":"f"}]}]`, `[{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"type":"code_execution_20260521","name":"x"}}}]}]`, `[{"role":"system","content":[{"type":"tool_addition","tool":{"type":"mcp_toolset_reference","server_name":"x"}}]}]`, `[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"24h"}}]}]`}},
	"system":             {taken: []string{`"be brief"`, `[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]`}, refused: []string{`1`, `{"type":"text"}`, `[{"type":"text","text":"x","cache_control":{"ttl":"2h"}}]`}},
	"max_tokens":         {taken: []string{"5", "0"}, refused: []string{`"5"`, "1.5", "-1"}},
	"stream":             {taken: []string{"true", "false"}, refused: []string{`"yes"`}},
	"tools":              {taken: []string{`[{"name":"f","input_schema":{"type":"object"}}]`, `[{"type":"custom","name":"f","eager_input_streaming":true,"defer_loading":true}]`, `[{"type":"bash_20250124","name":"bash"}]`, `[{"type":"text_editor_20250728","name":"e"}]`, `[{"type":"computer_20251124","name":"c"}]`, `[{"type":"computer_toolset_20260801"}]`, `[{"type":"browser_toolset_20260801"}]`, `[{"type":"memory_20250818","name":"memory"}]`, `[{"type":"web_search_20260318","name":"web_search"}]`, `[{"type":"tool_search_tool_regex_20251119","name":"r"}]`, `[{"type":null,"name":"f"}]`}, refused: []string{`[{"type":"code_execution_20250825","name":"x"}]`, `[{"type":"web_fetch_20260318","name":"web_fetch"}]`, `[{"type":"mcp_toolset","mcp_server_name":"x"}]`, `[{"type":"advisor_20260301","name":"a"}]`, `[{"TYPE":"code_execution_20250825"}]`, `[{"type":"code_execution_20250825","type":"custom"}]`, `{}`, `["web_search"]`, `[{"type":1}]`, `[{"type":"web_search_20250305","max_uses":0}]`, `[{"name":"f","cache_control":{"ttl":"2h"}}]`}},
	"tool_choice":        {taken: []string{`{"type":"any"}`}, refused: []string{`"any"`}},
	"thinking":           {taken: []string{`{"type":"enabled","budget_tokens":3000}`, `{"type":"enabled","budget_tokens":50}`, `{"type":"adaptive"}`, `{"type":"disabled"}`}, refused: []string{`true`, `{"type":"enabled","budget_tokens":"many"}`, `{"BUDGET_TOKENS":-1}`}, extra: 3000},
	"output_config":      {taken: []string{`{"effort":"high"}`, `{"format":{"type":"json_schema","schema":{}}}`}, refused: []string{`"high"`, `{"format":"json"}`, `{"Format":1}`}},
	"output_format":      {taken: []string{`{"type":"json_schema","schema":{}}`}, refused: []string{`"json"`}},
	"cache_control":      {taken: []string{`{"type":"ephemeral"}`, `{"type":"ephemeral","ttl":"5m"}`, `{"type":"ephemeral","ttl":"1h"}`}, refused: []string{`{"type":"ephemeral","ttl":"24h"}`, `{"TTL":"2h"}`, `{"ttl":3600}`}},
	"context_management": {taken: []string{`{"edits":[{"type":"clear_thinking_20251015","keep":"all"},{"type":"clear_tool_uses_20250919"}]}`, `{}`}, refused: []string{`{"edits":[{"type":"compact_20260112"}]}`, `{"edits":[{"type":"clear_x","Type":"compact_20260112"}]}`, `{"compaction":{}}`, `[]`}},
	"service_tier":       {taken: []string{`"auto"`, `"standard_only"`}, refused: []string{`"priority"`, `"batch"`, "1"}},
	"speed":              {taken: []string{`"standard"`}, refused: []string{`"fast"`, "2"}},
	"inference_geo":      {taken: []string{`"global"`}, refused: []string{`"us"`}},
	"thread":             {refused: []string{`{"type":"create"}`}},
	"container":          {refused: []string{`"c"`, `{}`}},
	"mcp_servers":        {refused: []string{`[]`}},
	"compaction":         {refused: []string{`{"type":"summarize"}`}},
	"fallbacks":          {refused: []string{`"default"`, `[{"model":"dear"}]`}},
	"betas":              {refused: []string{`["context-1m-2025-08-07"]`}},
	"anthropic_beta":     {refused: []string{`["context-1m-2025-08-07"]`}},
	"plugins":            {refused: []string{`[{"id":"web"}]`}},
}

// listed are the fields that are refused by name alone, with any value.
var listed = []string{
	"fallback_credit_token", "billing_policy", "user_profile_id", "workspace_id", "providerOptions", "provider_options",
	"models", "route", "provider", "preset", "transforms", "api_base", "base_url", "api_key", "custom_llm_provider",
	"extra_body", "extra_headers", "extra_query",
}

func parsed(in string) (*chat.Request, *chat.Error) { return Messages{}.Parse("", nil, []byte(in)) }

// Every field that changes a price is tried, in every way.
func TestFields(t *testing.T) {
	for _, name := range listed {
		c := tries[name]
		c.refused = append(c.refused, `{}`, `"x"`)
		tries[name] = c
	}
	for _, f := range Fields() {
		c, ok := tries[f.Name]
		if !ok {
			t.Errorf("%s is not tried", f.Name)
			continue
		}
		for i, value := range c.taken {
			r, e := parsed(body(`"` + f.Name + `":` + value))
			if e != nil {
				t.Errorf("%s: %s is refused: %v", f.Name, value, e)
			} else if i == 0 && r.ExtraOutputTokens != c.extra {
				t.Errorf("%s: %s holds %d more, want %d", f.Name, value, r.ExtraOutputTokens, c.extra)
			}
		}
		for _, value := range c.refused {
			field := `"` + f.Name + `":` + value
			in := body(field)
			if _, e := parsed(in); e == nil || e.Status != 400 || e.Type != "invalid_request_error" || e.Param == "" || e.Code == "" {
				t.Errorf("%s is taken: %v", in, e)
			}
		}
		if f.Effect == Refused {
			if _, e := parsed(body(`"` + f.Name + `":null`)); e != nil {
				t.Errorf("%s: null gives %v", f.Name, e)
			}
		}
		if (f.Effect == Refused || f.Effect == Limited) == (f.Why == "") {
			t.Errorf("%s: %s, because %q", f.Name, f.Effect, f.Why)
		}
	}
	if len(tries) != len(rules) {
		t.Errorf("%d fields are tried, there are %d", len(tries), len(rules))
	}
}

// What is priced is what is forwarded: no field stands twice, or in a spelling that another reader folds.
func TestFieldsStandOnce(t *testing.T) {
	for _, f := range Fields() {
		for _, in := range []string{
			`{"` + f.Name + `":null,"` + f.Name + `":null}`,
			`{"` + strings.ToUpper(f.Name) + `":null}`,
			fmt.Sprintf(`{"\u%04x%s":null}`, f.Name[0]&^0x20, f.Name[1:]), // its first letter, large and escaped
		} {
			if _, e := parsed(in); e == nil || e.Param != f.Name || e.Code != "duplicate_parameter" && e.Code != "unknown_parameter" {
				t.Errorf("%s gives %v", in, e)
			}
		}
	}
}
