package client

import (
	"encoding/json"
)

// Responses is OpenAI's Responses, without state.
type Responses struct{}

// Name implements Protocol.
func (Responses) Name() string { return "responses" }

// Path implements Protocol.
func (Responses) Path() string { return "/v1/responses" }

// Body implements Protocol.
func (Responses) Body(a Ask) []byte {
	input := []any{}
	for _, t := range a.Turns {
		input = append(input, responsesTurn(t)...)
	}
	out := object{"model": a.Model, "input": input, "max_output_tokens": a.Limit, "store": false}
	if a.System != "" {
		out["instructions"] = a.System
	}
	if a.Stream {
		out["stream"] = true
	}
	responsesTools(out, a)
	switch {
	case a.Schema != nil:
		out["text"] = object{"format": object{"type": "json_schema", "name": "answer", "strict": true, "schema": a.Schema}}
	case a.JSON:
		out["text"] = object{"format": object{"type": "json_object"}}
	}
	if a.Think {
		out["reasoning"] = object{"effort": "medium", "summary": "auto"}
		out["include"] = []string{"reasoning.encrypted_content"}
	}
	return marshal(out)
}

func responsesTurn(t Turn) []any {
	if t.Reply == nil {
		content := []any{object{"type": "input_text", "text": t.Text}}
		if t.Image != nil {
			content = append(content, object{"type": "input_image", "image_url": dataURL(t.Image)})
		}
		return []any{object{"type": "message", "role": "user", "content": content}}
	}
	var out []any
	var items []json.RawMessage
	if json.Unmarshal(t.Reply.Raw, &items) == nil { // it was read as a list before
		for _, item := range items {
			out = append(out, item)
		}
	}
	for i, c := range t.Reply.Calls {
		out = append(out, object{"type": "function_call_output", "call_id": c.ID, "output": t.result(i)})
	}
	return out
}

func responsesTools(out object, a Ask) {
	list := []any{}
	for _, t := range a.Tools {
		schema := t.Schema
		if schema == nil {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		list = append(list, object{"type": "function", "name": t.Name, "description": t.Description, "parameters": schema, "strict": false})
	}
	if a.Search {
		list = append(list, object{"type": "web_search"})
	}
	if len(list) > 0 {
		out["tools"] = list
	}
	switch {
	case len(a.Tools) == 0 || a.Choice == "":
	case a.Choice == Required:
		out["tool_choice"] = "required"
	default:
		out["tool_choice"] = object{"type": "function", "name": a.Choice}
	}
}

type response struct {
	ID         string            `json:"id"`
	Object     string            `json:"object"`
	Status     string            `json:"status"`
	Model      string            `json:"model"`
	Output     []json.RawMessage `json:"output"`
	Incomplete *struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Usage *responseUsage  `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type item struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Role      string `json:"role"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
	Encrypted string `json:"encrypted_content"`
	Content   []part `json:"content"`
	Summary   []part `json:"summary"`
}

type part struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Annotations []struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"annotations"`
}

type responseUsage struct {
	Input   *int64 `json:"input_tokens"`
	Output  *int64 `json:"output_tokens"`
	Total   *int64 `json:"total_tokens"`
	Details struct {
		Cached  int64 `json:"cached_tokens"`
		Written int64 `json:"cache_write_tokens"`
	} `json:"input_tokens_details"`
	OutputDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Cost json.RawMessage `json:"cost"`
}

// incompletes are OpenAI's words of why a response ended early.
var incompletes = map[string]Finish{"max_output_tokens": Length, "content_filter": Filter}

// Answer implements Protocol.
func (Responses) Answer(body []byte) (*Answer, error) {
	var r response
	if err := decode(body, &r, "a response"); err != nil {
		return nil, err
	}
	return r.answer(body)
}

func (r *response) answer(body []byte) (*Answer, error) {
	switch {
	case r.Object != "response":
		return nil, mismatch(`object "response"`, "%q", r.Object)
	case r.ID == "" || r.Model == "":
		return nil, mismatch("id and model", "id %q, model %q", r.ID, r.Model)
	case r.Status != "completed" && (r.Status != "incomplete" || r.Incomplete == nil):
		return nil, mismatch("status completed, or incomplete with its details", "%q: %s", r.Status, body)
	case r.Usage == nil || r.Usage.Input == nil || r.Usage.Output == nil || r.Usage.Total == nil:
		return nil, mismatch("usage with input_tokens, output_tokens and total_tokens", "%s", body)
	}
	u := r.Usage
	a := &Answer{ID: r.ID, Model: r.Model, Finish: Stop, Raw: marshal(r.Output), Usage: &Usage{
		Input: *u.Input, CacheRead: u.Details.Cached, CacheWrite: u.Details.Written, Output: *u.Output,
		Reasoning: u.OutputDetails.Reasoning, Cost: number(u.Cost),
	}}
	for _, raw := range r.Output {
		var i item
		if err := decode(raw, &i, "an output item"); err != nil {
			return nil, err
		}
		if err := a.item(&i, raw); err != nil {
			return nil, err
		}
	}
	if r.Status == "incomplete" {
		a.Finish = finish(incompletes, r.Incomplete.Reason)
	}
	return a, a.checkCalls()
}

// number is a cost that is a JSON number; a provider's own cost is an object, and none.
func number(raw json.RawMessage) json.Number {
	var n json.Number
	if len(raw) == 0 || raw[0] == '"' || json.Unmarshal(raw, &n) != nil {
		return ""
	}
	return n
}

func (a *Answer) item(i *item, raw []byte) error {
	switch i.Type {
	case "message":
		if i.ID == "" || i.Role != "assistant" {
			return mismatch("a message of the assistant with an id", "%s", raw)
		}
		for _, p := range i.Content {
			if p.Type == "output_text" {
				a.Text += p.Text
			}
			for _, n := range p.Annotations {
				if n.Type == "url_citation" {
					a.Citations = append(a.Citations, n.URL)
				}
			}
		}
	case "function_call":
		a.Calls = append(a.Calls, Call{ID: i.CallID, Name: i.Name, Arguments: i.Arguments})
		a.Finish = Tools
	case "reasoning":
		for _, p := range i.Summary {
			a.Reasoning += p.Text
		}
		if len(i.Summary) == 0 {
			for _, p := range i.Content {
				a.Reasoning += p.Text
			}
		}
		a.Signed = a.Signed || i.Encrypted != ""
	}
	return nil
}

// Failure implements Protocol: it is the shape of chat completions.
func (Responses) Failure(body []byte) (Failure, error) { return Completions{}.Failure(body) }
