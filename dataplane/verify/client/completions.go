package client

import (
	"encoding/base64"
	"encoding/json"
)

// Completions is OpenAI's chat completions.
type Completions struct{}

// Name implements Protocol.
func (Completions) Name() string { return "chat.completions" }

// Path implements Protocol.
func (Completions) Path() string { return "/v1/chat/completions" }

// Body implements Protocol.
func (Completions) Body(a Ask) []byte {
	messages := []any{}
	if a.System != "" {
		messages = append(messages, object{"role": "system", "content": a.System})
	}
	for _, t := range a.Turns {
		messages = append(messages, completionsTurn(t)...)
	}
	out := object{"model": a.Model, "messages": messages, "max_completion_tokens": a.Limit}
	if a.Stream {
		out["stream"] = true
	}
	if a.Stream && a.Usage {
		out["stream_options"] = object{"include_usage": true}
	}
	completionsTools(out, a)
	switch {
	case a.Schema != nil:
		out["response_format"] = object{"type": "json_schema", "json_schema": object{"name": "answer", "strict": true, "schema": a.Schema}}
	case a.JSON:
		out["response_format"] = object{"type": "json_object"}
	}
	if a.Think {
		out["reasoning_effort"] = "medium"
	}
	if a.Search {
		out["web_search_options"] = object{}
	}
	if a.Cache {
		out["cache"] = true
	}
	return marshal(out)
}

// dataURL is a PNG as a URL.
func dataURL(png []byte) string {
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
}

func completionsTurn(t Turn) []any {
	if t.Reply == nil {
		if t.Image == nil {
			return []any{object{"role": "user", "content": t.Text}}
		}
		return []any{object{"role": "user", "content": []any{
			object{"type": "text", "text": t.Text},
			object{"type": "image_url", "image_url": object{"url": dataURL(t.Image)}},
		}}}
	}
	out := []any{t.Reply.Raw}
	for i, c := range t.Reply.Calls {
		out = append(out, object{"role": "tool", "tool_call_id": c.ID, "content": t.result(i)})
	}
	return out
}

// result is that of call i; every call has one.
func (t Turn) result(i int) string {
	if i < len(t.Results) {
		return t.Results[i]
	}
	return "unknown"
}

func completionsTools(out object, a Ask) {
	if len(a.Tools) == 0 {
		return
	}
	list := []any{}
	for _, t := range a.Tools {
		f := object{"name": t.Name, "description": t.Description}
		if t.Schema != nil {
			f["parameters"] = t.Schema
		}
		list = append(list, object{"type": "function", "function": f})
	}
	out["tools"] = list
	switch a.Choice {
	case "":
	case Required:
		out["tool_choice"] = "required"
	default:
		out["tool_choice"] = object{"type": "function", "function": object{"name": a.Choice}}
	}
}

// completion is the answer, and with Delta in place of Message a chunk of it.
type completion struct {
	ID      string             `json:"id"`
	Object  string             `json:"object"`
	Model   string             `json:"model"`
	Created json.Number        `json:"created"`
	Choices []completionChoice `json:"choices"`
	Usage   *completionUsage   `json:"usage"`
	Error   json.RawMessage    `json:"error"`
}

type completionChoice struct {
	Index        *int64           `json:"index"`
	Message      json.RawMessage  `json:"message"`
	Delta        *completionDelta `json:"delta"`
	FinishReason *string          `json:"finish_reason"`
}

type completionDelta struct {
	Role             string           `json:"role"`
	Content          *string          `json:"content"`
	Refusal          *string          `json:"refusal"`
	ReasoningContent string           `json:"reasoning_content"`
	Reasoning        string           `json:"reasoning"`
	ReasoningDetails []reasoning      `json:"reasoning_details"`
	ToolCalls        []completionCall `json:"tool_calls"`
	Annotations      []struct {
		Type string `json:"type"`
		URL  struct {
			URL string `json:"url"`
		} `json:"url_citation"`
	} `json:"annotations"`
}

type reasoning struct {
	Text      string `json:"text"`
	Signature string `json:"signature"`
	Data      string `json:"data"`
}

type completionCall struct {
	Index    *int64 `json:"index"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string  `json:"name"`
		Arguments *string `json:"arguments"`
	} `json:"function"`
	Extra struct {
		Google struct {
			Signature string `json:"thought_signature"`
		} `json:"google"`
	} `json:"extra_content"`
}

type completionUsage struct {
	Prompt     *int64 `json:"prompt_tokens"`
	Completion *int64 `json:"completion_tokens"`
	Total      *int64 `json:"total_tokens"`
	Details    struct {
		Cached  int64 `json:"cached_tokens"`
		Written int64 `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	Created int64 `json:"cache_creation_input_tokens"`
	Output  struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	Cost json.Number `json:"cost"`
}

func (u *completionUsage) usage() (*Usage, error) {
	if u == nil {
		return nil, nil
	}
	if u.Prompt == nil || u.Completion == nil || u.Total == nil {
		return nil, mismatch("usage with prompt_tokens, completion_tokens and total_tokens", "%s", marshal(u))
	}
	if *u.Total < *u.Prompt+*u.Completion {
		return nil, mismatch("total_tokens that are the sum", "%d + %d and %d", *u.Prompt, *u.Completion, *u.Total)
	}
	return &Usage{
		Input: *u.Prompt, Output: *u.Completion, CacheRead: u.Details.Cached, CacheWrite: max(u.Details.Written, u.Created),
		Reasoning: u.Output.Reasoning, Cost: u.Cost,
	}, nil
}

// finishes are OpenAI's words.
var finishes = map[string]Finish{"stop": Stop, "length": Length, "tool_calls": Tools, "content_filter": Filter}

func finish(words map[string]Finish, word string) Finish {
	if f, ok := words[word]; ok {
		return f
	}
	return Finish(word)
}

// Failure implements Protocol.
func (Completions) Failure(body []byte) (Failure, error) {
	const want = `{"error":{"message","type","param","code"}}`
	var envelope struct {
		Error map[string]json.RawMessage `json:"error"`
	}
	if err := decode(body, &envelope, want); err != nil {
		return Failure{}, err
	}
	var out Failure
	for name, to := range map[string]*string{"message": &out.Message, "type": &out.Type, "param": &out.Param, "code": &out.Code} {
		raw, ok := envelope.Error[name]
		if !ok || json.Unmarshal(raw, to) != nil {
			return Failure{}, mismatch(want, "%s", body)
		}
	}
	if out.Message == "" || out.Type == "" {
		return Failure{}, mismatch(want+" with a message and a type", "%s", body)
	}
	return out, nil
}
