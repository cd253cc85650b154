package openai

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// body makes a request out of the usual fields and the given ones.
func body(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"model":"m","messages":[{"role":"user","content":"hi"}]` + more + `}`
}

func withContent(content string) string {
	return `{"model":"m","messages":[{"role":"user","content":` + content + `}]}`
}

type known struct {
	Model                        string
	Stream, IncludeUsage, Opaque bool
	Max, Choices                 int64
	Needs                        []string
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want known
	}{
		"plain":                  {body(""), known{Model: "m", Choices: 1}},
		"escaped model":          {`{"messages":[{"role":"user"}],"model":"a\/b\u00e9"}`, known{Model: "a/bé", Choices: 1}},
		"escaped key":            {`{"mod\u0065l":"dear","messages":[{}]}`, known{Model: "dear", Choices: 1}},
		"stream":                 {body(`"stream":true`), known{Model: "m", Choices: 1, Stream: true, Needs: []string{"Streaming"}}},
		"usage":                  {body(`"stream_options":{"include_usage":true,"include_obfuscation":false},"stream":true`), known{Model: "m", Choices: 1, Stream: true, IncludeUsage: true, Needs: []string{"Streaming"}}},
		"no usage":               {body(`"stream":true,"stream_options":{"include_usage":false}`), known{Model: "m", Choices: 1, Stream: true, Needs: []string{"Streaming"}}},
		"nulls":                  {body(`"stream":null,"stream_options":null,"max_tokens":null,"n":null,"tools":null,"audio":null,"service_tier":null,"models":null,"response_format":null,"reasoning":null,"thinking":null,"prediction":null,"best_of":null,"speed":null,"background":null,"cache_control":null,"thinking_budget":null,"modalities":null,"functions":null,"reasoning_effort":null`), known{Model: "m", Choices: 1}},
		"limits":                 {body(`"max_tokens":10,"n":3`), known{Model: "m", Max: 10, Choices: 3}},
		"the larger limit":       {body(`"max_tokens":10,"max_completion_tokens":20`), known{Model: "m", Max: 20, Choices: 1}},
		"tools":                  {body(`"tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"}]`), known{Model: "m", Choices: 1, Needs: []string{"Tools"}}},
		"no tools":               {body(`"tools":[],"functions":[]`), known{Model: "m", Choices: 1}},
		"functions":              {body(`"functions":[{"name":"f"}]`), known{Model: "m", Choices: 1, Needs: []string{"Tools"}}},
		"json object":            {body(`"response_format":{"type":"json_object"}`), known{Model: "m", Choices: 1, Needs: []string{"JSON"}}},
		"json schema":            {body(`"response_format":{"json_schema":{"type":"x"},"type":"json_schema"}`), known{Model: "m", Choices: 1, Needs: []string{"JSON"}}},
		"text format":            {body(`"response_format":{"type":"text"}`), known{Model: "m", Choices: 1}},
		"effort":                 {body(`"reasoning_effort":"low"`), known{Model: "m", Choices: 1, Needs: []string{"Thinking"}}},
		"no effort":              {body(`"reasoning_effort":"none"`), known{Model: "m", Choices: 1}},
		"reasoning":              {body(`"reasoning":{"effort":"high"}`), known{Model: "m", Choices: 1, Needs: []string{"Thinking"}}},
		"reasoning off":          {body(`"reasoning":{"enabled":false}`), known{Model: "m", Choices: 1}},
		"reasoning none":         {body(`"reasoning":{"effort":"none"}`), known{Model: "m", Choices: 1}},
		"default tier":           {body(`"service_tier":"auto"`), known{Model: "m", Choices: 1}},
		"text modality":          {body(`"modalities":["text"]`), known{Model: "m", Choices: 1}},
		"unknown fields":         {body(`"temperature":2,"store":true,"metadata":{"model":"x"},"user":"u","logit_bias":{},"x":[1,2]`), known{Model: "m", Choices: 1}},
		"text parts":             {withContent(`[{"type":"text","text":"[{\"type\":\"image_url\"}]"},"x"]`), known{Model: "m", Choices: 1}},
		"image":                  {withContent(`[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x"}}]`), known{Model: "m", Choices: 1, Opaque: true, Needs: []string{"Vision"}}},
		"image, responses style": {withContent(`[{"type":"input_image"},{"type":"input_image"}]`), known{Model: "m", Choices: 1, Opaque: true, Needs: []string{"Vision"}}},
		"file":                   {withContent(`[{"type":"file","file":{}}]`), known{Model: "m", Choices: 1, Opaque: true, Needs: []string{"Vision"}}},
		"part without type":      {withContent(`[{"image_url":{}}]`), known{Model: "m", Choices: 1, Opaque: true}},
		"one part, no array":     {withContent(`{"type":"image_url"}`), known{Model: "m", Choices: 1, Opaque: true, Needs: []string{"Vision"}}},
		"part with two types":    {withContent(`[{"type":"image_url","type":"text"}]`), known{Model: "m", Choices: 1, Opaque: true, Needs: []string{"Vision"}}},
		"content twice":          {`{"model":"m","messages":[{"CONTENT":[{"TYPE":"image_url"}],"content":"x"}]}`, known{Model: "m", Choices: 1, Opaque: true, Needs: []string{"Vision"}}},
		"tool call history":      {`{"model":"m","messages":[{"role":"assistant","content":null,"audio":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}]}`, known{Model: "m", Choices: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r, e := Parse("req_1", []byte(c.in))
			if e != nil {
				t.Fatal(e)
			}
			got := known{r.Model, r.Stream, r.IncludeUsage, r.Opaque, r.MaxOutputTokens, r.Choices, r.Needs}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if r.ID != "req_1" || string(r.Body) != c.in || r.InputBytes != int64(len(c.in)) {
				t.Errorf("id %q, %d input bytes, body %s", r.ID, r.InputBytes, r.Body)
			}
			if string(r.Fields.Value(r.Body, "messages")) == "" {
				t.Error("Fields do not hold the messages")
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, param, code string }{
		"not JSON":           {`{"model":`, "", "invalid_json"},
		"not an object":      {`[]`, "", "invalid_json"},
		"empty":              {``, "", "invalid_json"},
		"invalid UTF-8":      {"{\"model\":\"\xff\"}", "", "invalid_json"},
		"deep":               {`{"messages":` + strings.Repeat("[", 100_000), "", "invalid_json"},
		"no model":           {`{"messages":[{}]}`, "model", "missing_required_parameter"},
		"null model":         {`{"model":null,"messages":[{}]}`, "model", "invalid_type"},
		"empty model":        {`{"model":"","messages":[{}]}`, "model", "empty_string"},
		"model twice":        {body(`"model":"dear"`), "model", "duplicate_parameter"},
		"MODEL":              {body(`"MODEL":"dear"`), "model", "unknown_parameter"},
		"escaped model":      {body(`"mod\u0065l":"dear"`), "model", "duplicate_parameter"},
		"MODEL alone":        {`{"MODEL":"m","messages":[{}]}`, "model", "unknown_parameter"},
		"folded stream":      {body(`"ſtream":true`), "stream", "unknown_parameter"},
		"n twice":            {body(`"n":1,"n":100`), "n", "duplicate_parameter"},
		"N":                  {body(`"N":100`), "n", "unknown_parameter"},
		"audio, other case":  {body(`"Audio":{}`), "audio", "unknown_parameter"},
		"no messages":        {`{"model":"m"}`, "messages", "missing_required_parameter"},
		"null messages":      {`{"model":"m","messages":null}`, "messages", "invalid_type"},
		"empty messages":     {`{"model":"m","messages":[]}`, "messages", "empty_array"},
		"a message's type":   {`{"model":"m","messages":[{},"x"]}`, "messages", "invalid_type"},
		"stream's type":      {body(`"stream":"true"`), "stream", "invalid_type"},
		"options' type":      {body(`"stream":true,"stream_options":true`), "stream_options", "invalid_type"},
		"options, no stream": {body(`"stream_options":{"include_usage":true}`), "stream_options", "invalid_value"},
		"usage's type":       {body(`"stream":true,"stream_options":{"include_usage":1}`), "stream_options.include_usage", "invalid_type"},
		"usage twice":        {body(`"stream":true,"stream_options":{"include_usage":true,"include_usage":false}`), "stream_options", "duplicate_parameter"},
		"max 0":              {body(`"max_tokens":0`), "max_tokens", "integer_below_min_value"},
		"max negative":       {body(`"max_completion_tokens":-1`), "max_completion_tokens", "integer_below_min_value"},
		"max fraction":       {body(`"max_tokens":1.5`), "max_tokens", "invalid_type"},
		"max string":         {body(`"max_tokens":"1"`), "max_tokens", "invalid_type"},
		"max huge":           {body(`"max_tokens":99999999999999999999`), "max_tokens", "invalid_type"},
		"n 0":                {body(`"n":0`), "n", "integer_below_min_value"},
		"n 129":              {body(`"n":129`), "n", "integer_above_max_value"},
		"tools' type":        {body(`"tools":{}`), "tools", "invalid_type"},
		"functions' type":    {body(`"functions":{}`), "functions", "invalid_type"},
		"search tool":        {body(`"tools":[{"type":"openrouter:web_search"}]`), "tools", "unsupported_parameter"},
		"search twice":       {body(`"tools":[{"type":"web_search"}],"web_search_options":{}`), "web_search_options", "invalid_value"},
		"search tool, TYPE":  {body(`"tools":[{"TYPE":"web_search"}]`), "tools", "unsupported_parameter"},
		"two types":          {body(`"tools":[{"type":"web_search","type":"function"}]`), "tools", "unsupported_parameter"},
		"no type":            {body(`"tools":[{"google_search":{}}]`), "tools", "unsupported_parameter"},
		"INCLUDE_USAGE":      {body(`"stream":true,"stream_options":{"INCLUDE_USAGE":false}`), "stream_options", "unknown_parameter"},
		"format's type":      {body(`"response_format":"json_object"`), "response_format", "invalid_type"},
		"effort's type":      {body(`"reasoning_effort":1`), "reasoning_effort", "invalid_type"},
		"reasoning's type":   {body(`"reasoning":"high"`), "reasoning", "invalid_type"},
		"priority":           {body(`"service_tier":"performance"`), "service_tier", "unsupported_value"},
		"tier's type":        {body(`"service_tier":1`), "service_tier", "invalid_type"},
		"spoken":             {body(`"modalities":["text","audio"]`), "modalities", "unsupported_value"},
		"modalities' type":   {body(`"modalities":"audio"`), "modalities", "invalid_type"},
	} {
		t.Run(name, func(t *testing.T) {
			_, e := Parse("", []byte(c.in))
			if e == nil {
				t.Fatal("accepted")
			}
			if e.Status != 400 || e.Type != "invalid_request_error" || e.Param != c.param || e.Code != c.code {
				t.Errorf("got %d %s param %q code %q: %s", e.Status, e.Type, e.Param, e.Code, e.Message)
			}
			if !strings.Contains(e.Message, strings.SplitN(c.param, ".", 2)[0]) {
				t.Errorf("the message does not name %s: %s", c.param, e.Message)
			}
		})
	}
}

// Every field that is refused by name is refused whatever its value, but for null.
func TestParseRefusesByName(t *testing.T) {
	seen := 0
	for _, r := range rules {
		if r.Effect != Refused {
			continue
		}
		seen++
		for _, value := range []string{`{}`, `[]`, `"x"`, `false`, `0`} {
			_, e := Parse("", []byte(body(`"`+r.Name+`":`+value)))
			if e == nil || e.Param != r.Name || e.Code != "unsupported_parameter" || !strings.Contains(e.Message, r.Why) {
				t.Errorf("%s: %s gives %v", r.Name, value, e)
			}
		}
		if _, e := Parse("", []byte(body(`"`+r.Name+`":null`))); e != nil {
			t.Errorf("%s: null gives %v", r.Name, e)
		}
	}
	if seen < 10 {
		t.Errorf("only %d fields are refused by name", seen)
	}
}

func BenchmarkParse(b *testing.B) {
	in := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some words of text ", 500) + `"}],"stream":true}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, e := Parse("", in); e != nil {
			b.Fatal(e)
		}
	}
}
