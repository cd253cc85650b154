package openai

import (
	"strings"
	"testing"
)

// tries has, for every field that changes a price, values that are taken and values that are refused.
var tries = map[string]struct {
	taken, refused []string
	// extra is what the first of taken adds to the output that is held for.
	extra int64
}{
	"model":                    {refused: []string{`"dear"`}}, // a second one
	"messages":                 {refused: []string{`[]`}},     // a second one
	"stream":                   {taken: []string{"true", "false"}, refused: []string{`"yes"`}},
	"stream_options":           {refused: []string{`{"include_usage":true}`}},
	"max_tokens":               {taken: []string{"5"}, refused: []string{"0", `"5"`}},
	"max_completion_tokens":    {taken: []string{"5"}, refused: []string{"0", `"5"`}},
	"max_output_tokens":        {taken: []string{"5"}, refused: []string{"-1", "1.5"}},
	"max_new_tokens":           {taken: []string{"5"}, refused: []string{"0", "1e3"}},
	"n":                        {taken: []string{"2"}, refused: []string{"0", "129"}},
	"prediction":               {taken: []string{`{"type":"content","content":"0123456789"}`}, extra: 41},
	"tools":                    {taken: []string{`[{"type":"function","function":{"name":"f"}}]`, `[{"type":"custom","custom":{"name":"f"}}]`, `[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}]`, `[{"type":"function","cache_control":{"ttl":"1h"}}]`, `[{"type":"function","function":{"name":"f","cache_control":{"ttl":"1h"}}}]`, `[{"type":"web_search"}]`, `[{"type":"web_search_preview_2025_03_11","search_context_size":"low"}]`, `[{"type":"web_search_20250305","name":"web_search","max_uses":3}]`}, refused: []string{`[{"type":"web_search_x"}]`, `[{"type":"web_search","max_uses":0}]`, `[{"type":"web_search","max_uses":1001}]`, `[{"type":"web_search"},{"type":"web_search"}]`, `[{"type":"web_search","external_web_access":true}]`, `[{"type":"web_search","TYPE":"mcp"}]`, `[{"type":"web_search","cache_control":{"ttl":"1d"}}]`, `[{"type":"openrouter:web_search"}]`, `[{"type":"code_interpreter"}]`, `[{"type":"mcp"}]`, `[{"google_search":{}}]`, `[{"type":"function","googleSearchRetrieval":{}}]`, `[{"TYPE":"web_search_preview","type":"function"}]`, `["web_search"]`, `[{"type":"function","cache_control":{"ttl":"2h"}}]`, `[{"type":"function","function":{"name":"f","Cache_Control":{"ttl":"2h"}}}]`}},
	"functions":                {taken: []string{`[{"name":"f"}]`}, refused: []string{`{}`}},
	"response_format":          {taken: []string{`{"type":"text"}`}, refused: []string{`"json"`}},
	"reasoning_effort":         {taken: []string{`"low"`}, refused: []string{"1"}},
	"reasoning":                {taken: []string{`{"max_tokens":2000}`, `{"effort":"high"}`}, refused: []string{`"high"`, `{"max_tokens":"many"}`, `{"MAX_TOKENS":-1}`}, extra: 2000},
	"thinking":                 {taken: []string{`{"type":"enabled","budget_tokens":3000}`, `{"type":"disabled"}`}, refused: []string{`true`, `{"budget_tokens":"many"}`}, extra: 3000},
	"thinking_budget":          {taken: []string{"4000", "0"}, refused: []string{`"many"`, "-1"}, extra: 4000},
	"service_tier":             {taken: []string{`"auto"`, `"default"`, `"priority"`, `"flex"`, `"scale"`}, refused: []string{`"performance"`, "1"}},
	"speed":                    {taken: []string{`"standard"`}, refused: []string{`"fast"`, "2"}},
	"inference_geo":            {taken: []string{`"global"`}, refused: []string{`"us"`}},
	"prompt_cache_retention":   {taken: []string{`"in_memory"`, `"in-memory"`}, refused: []string{`"24h"`}},
	"cache_control":            {taken: []string{`{"type":"ephemeral"}`, `{"type":"ephemeral","ttl":"5m"}`, `{"type":"ephemeral","ttl":"1h"}`, `{"TTL":"1h"}`}, refused: []string{`{"ttl":"24h"}`, `{"TTL":"2h"}`, `{"ttl":3600}`}},
	"cache":                    {taken: []string{"true", "false", `"5m"`, `"1h"`}, refused: []string{`"24h"`, "1", `{}`, `"true"`}},
	"modalities":               {taken: []string{`["text"]`}, refused: []string{`["text","audio"]`, `["image"]`, `"audio"`}},
	"best_of":                  {taken: []string{"1"}, refused: []string{"2", `"2"`}},
	"candidate_count":          {taken: []string{"1"}, refused: []string{"8"}},
	"num_return_sequences":     {taken: []string{"1"}, refused: []string{"8"}},
	"use_beam_search":          {taken: []string{"false"}, refused: []string{"true", "1"}},
	"background":               {taken: []string{"false"}, refused: []string{"true"}},
	"deferred":                 {taken: []string{"false"}, refused: []string{"true"}},
	"enable_search":            {taken: []string{"false"}, refused: []string{"true"}},
	"enable_code_interpreter":  {taken: []string{"false"}, refused: []string{"true"}},
	"return_images":            {taken: []string{"false", "true"}, refused: []string{`"true"`}},
	"audio":                    {refused: []string{`{"voice":"alloy","format":"mp3"}`}},
	"image_config":             {refused: []string{`{"aspect_ratio":"1:1"}`}},
	"web_search_options":       {taken: []string{`{}`, `{"search_context_size":"high"}`}, refused: []string{`true`, `[]`}},
	"web_search":               {refused: []string{`{"enable":true}`, "true"}},
	"search_parameters":        {refused: []string{`{"mode":"auto"}`}},
	"search_options":           {refused: []string{`{"forced_search":true}`}},
	"search_settings":          {refused: []string{`{}`}},
	"compound_custom":          {refused: []string{`{}`}},
	"connectors":               {refused: []string{`[{"id":"web-search"}]`}},
	"mcp_servers":              {refused: []string{`[]`}},
	"container":                {refused: []string{`"c"`, `{}`}},
	"context_management":       {refused: []string{`{}`}},
	"betas":                    {refused: []string{`["context-1m-2025-08-07"]`}},
	"anthropic_beta":           {refused: []string{`["context-1m-2025-08-07"]`}},
	"previous_response_id":     {refused: []string{`"resp_1"`}},
	"conversation":             {refused: []string{`"conv_1"`}},
	"prompt":                   {refused: []string{`{"id":"pmpt_1"}`, `"text"`}},
	"cached_content":           {refused: []string{`"cachedContents/1"`}},
	"providerOptions":          {refused: []string{`{"gateway":{"order":["x"]}}`}},
	"provider_options":         {refused: []string{`{}`}},
	"models":                   {refused: []string{`["dear"]`}},
	"route":                    {refused: []string{`"fallback"`}},
	"provider":                 {refused: []string{`{"sort":"throughput"}`}},
	"preset":                   {refused: []string{`"p"`}},
	"transforms":               {refused: []string{`["middle-out"]`}},
	"plugins":                  {refused: []string{`[{"id":"web"}]`}},
	"fallbacks":                {refused: []string{`[{"model":"dear"}]`}},
	"context_window_fallbacks": {refused: []string{`[]`}},
	"api_base":                 {refused: []string{`"https://example.com"`}},
	"base_url":                 {refused: []string{`"https://example.com"`}},
	"api_key":                  {refused: []string{`"sk-1"`}},
	"custom_llm_provider":      {refused: []string{`"x"`}},
	"extra_body":               {refused: []string{`{"google":{"cached_content":"x"}}`}},
	"extra_headers":            {refused: []string{`{}`}},
	"extra_query":              {refused: []string{`{}`}},
}

// Every field of the list is tried with values that cost what the price says, and with values that would cost more.
func TestFieldsThatCost(t *testing.T) {
	for _, f := range Fields() {
		try, ok := tries[f.Name]
		if !ok {
			t.Errorf("%s is not tried", f.Name)
			continue
		}
		if f.Upstreams == "" || (f.Why == "") == (f.Effect == Refused || f.Effect == Limited || f.Effect == Evened) {
			t.Errorf("%s: upstreams %q, why %q", f.Name, f.Upstreams, f.Why)
		}
		for i, value := range try.taken {
			r, e := Parse("", []byte(body(`"`+f.Name+`":`+value)))
			if e != nil {
				t.Errorf("%s: %s gives %v", f.Name, value, e)
			} else if i == 0 && r.ExtraOutputTokens != try.extra {
				t.Errorf("%s: %s adds %d tokens, want %d", f.Name, value, r.ExtraOutputTokens, try.extra)
			}
		}
		for _, value := range try.refused {
			_, e := Parse("", []byte(body(`"`+f.Name+`":`+value)))
			if e == nil || e.Status != 400 || !strings.HasPrefix(e.Param, f.Name) || !strings.Contains(e.Message, "'"+f.Name) {
				t.Errorf("%s: %s gives %v", f.Name, value, e)
			}
		}
		if _, e := Parse("", []byte(body(`"`+strings.ToUpper(f.Name)+`":1`))); e == nil || e.Code != "unknown_parameter" {
			t.Errorf("%s in another case: %v", f.Name, e)
		}
		delete(tries, f.Name)
	}
	for name := range tries {
		t.Errorf("%s is tried, and not in the list", name)
	}
}

// The same inside messages.
func TestPartsThatCost(t *testing.T) {
	for content, ok := range map[string]bool{
		`[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]`:            true,
		`[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"5m"}}]`: true,
		`[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]`: true,
		`[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"2h"}}]`: false,
		`[{"type":"text","text":"a","Cache_Control":{"TTL":"2h"}}]`:                    false,
		`[{"type":"file","file":{"file_id":"file-1"}}]`:                                false,
		`[{"type":"file","FILE":{"File_ID":"file-1"},"file":{}}]`:                      false,
		`[{"type":"input_file","file_id":"file-1"}]`:                                   false,
		`[{"type":"file","file":{"file_id":null,"file_data":"x"}}]`:                    true,
		`[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]`:            false,
		`[{"type":"audio_url","audio_url":{"url":"https://x"}}]`:                       false,
		`[{"type":"video_url","video_url":{"url":"https://x"}}]`:                       false,
		`[{"type":"text","text":"a","type":"input_audio"}]`:                            false,
		`[{"type":"text","input_audio":{"data":""}}]`:                                  false,
		`{"type":"input_audio"}`:                                                       false,
		`[{"type":"image_url"}]`:                                                       true,
	} {
		_, e := Parse("", []byte(withContent(content)))
		if (e == nil) != ok || e != nil && e.Param != "messages" {
			t.Errorf("%s: %v", content, e)
		}
	}
	for message, ok := range map[string]bool{
		`{"role":"assistant","audio":{"id":"a"}}`:                    false,
		`{"role":"assistant","content":"a","audio":null}`:            true,
		`{"role":"user","content":"a","cache_control":{}}`:           true,
		`{"role":"user","content":"a","cache_control":{"ttl":"1h"}}`: true,
		`{"role":"user","content":"a","cache_control":{"ttl":"2h"}}`: false,
	} {
		if _, e := Parse("", []byte(`{"model":"m","messages":[`+message+`]}`)); (e == nil) != ok {
			t.Errorf("%s: %v", message, e)
		}
	}
}

// A budget cannot be so large that sums of it become small.
func TestExtraIsBounded(t *testing.T) {
	r, e := Parse("", []byte(body(`"thinking_budget":9223372036854775807,"thinking":{"budget_tokens":9223372036854775807},"reasoning":{"max_tokens":9223372036854775807}`)))
	if e != nil || r.ExtraOutputTokens != maxExtra {
		t.Errorf("%+v %v", r, e)
	}
}
