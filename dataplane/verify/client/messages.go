package client

import (
	"encoding/base64"
	"encoding/json"
)

// Messages is Anthropic's Messages.
type Messages struct{}

// Name implements Protocol.
func (Messages) Name() string { return "messages" }

// Path implements Protocol.
func (Messages) Path() string { return "/v1/messages" }

// thinkingBudget is the least that Anthropic takes, in tokens.
const thinkingBudget = 1024

// Body implements Protocol.
func (Messages) Body(a Ask) []byte {
	messages := []any{}
	for _, t := range a.Turns {
		messages = append(messages, messagesTurn(t)...)
	}
	out := object{"model": a.Model, "messages": messages, "max_tokens": a.Limit}
	if a.System != "" {
		block := object{"type": "text", "text": a.System}
		if a.Cache {
			block["cache_control"] = object{"type": "ephemeral"}
		}
		out["system"] = []any{block}
	}
	if a.Stream {
		out["stream"] = true
	}
	messagesTools(out, a)
	if a.Schema != nil {
		out["output_config"] = object{"format": object{"type": "json_schema", "schema": a.Schema}}
	}
	switch {
	case a.Think && a.Adaptive:
		out["thinking"] = object{"type": "adaptive", "display": "summarized"}
	case a.Think:
		out["thinking"] = object{"type": "enabled", "budget_tokens": thinkingBudget}
	}
	return marshal(out)
}

func messagesTurn(t Turn) []any {
	if t.Reply == nil {
		content := []any{}
		if t.Image != nil {
			content = append(content, object{"type": "image", "source": object{
				"type": "base64", "media_type": "image/png", "data": base64.StdEncoding.EncodeToString(t.Image),
			}})
		}
		return []any{object{"role": "user", "content": append(content, object{"type": "text", "text": t.Text})}}
	}
	results := []any{}
	for i, c := range t.Reply.Calls {
		results = append(results, object{"type": "tool_result", "tool_use_id": c.ID, "content": t.result(i)})
	}
	out := []any{object{"role": "assistant", "content": t.Reply.Raw}}
	if len(results) > 0 {
		out = append(out, object{"role": "user", "content": results})
	}
	return out
}

func messagesTools(out object, a Ask) {
	list := []any{}
	for _, t := range a.Tools {
		schema := t.Schema
		if schema == nil {
			schema = json.RawMessage(`{"type":"object","properties":{}}`)
		}
		list = append(list, object{"name": t.Name, "description": t.Description, "input_schema": schema})
	}
	if a.Search {
		list = append(list, object{"type": "web_search_20250305", "name": "web_search", "max_uses": 2})
	}
	if len(list) > 0 {
		out["tools"] = list
	}
	switch {
	case len(a.Tools) == 0 || a.Choice == "":
	case a.Choice == Required:
		out["tool_choice"] = object{"type": "any"}
	default:
		out["tool_choice"] = object{"type": "tool", "name": a.Choice}
	}
}

type message struct {
	Type       string            `json:"type"`
	ID         string            `json:"id"`
	Role       string            `json:"role"`
	Model      string            `json:"model"`
	Content    []json.RawMessage `json:"content"`
	StopReason *string           `json:"stop_reason"`
	Usage      *messageUsage     `json:"usage"`
}

// block is one of an answer, or what a stream begins it with.
type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	Data      string          `json:"data"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	Citations []citation      `json:"citations"`
}

type citation struct {
	URL string `json:"url"`
}

type messageUsage struct {
	Input   *int64 `json:"input_tokens"`
	Output  *int64 `json:"output_tokens"`
	Read    int64  `json:"cache_read_input_tokens"`
	Written int64  `json:"cache_creation_input_tokens"`
	Details struct {
		Thinking int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
	Cost json.Number `json:"cost"`
}

func (u *messageUsage) usage() *Usage {
	return &Usage{
		Input: *u.Input + u.Read + u.Written, CacheRead: u.Read, CacheWrite: u.Written, Output: *u.Output,
		Reasoning: u.Details.Thinking, Cost: u.Cost,
	}
}

// stops are Anthropic's words.
var stops = map[string]Finish{
	"end_turn": Stop, "stop_sequence": Stop, "max_tokens": Length, "model_context_window_exceeded": Length, "tool_use": Tools,
	"refusal": Filter, "pause_turn": Pause,
}

// Failure implements Protocol.
func (Messages) Failure(body []byte) (Failure, error) {
	const want = `{"type":"error","error":{"type","message"}}`
	var envelope struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := decode(body, &envelope, want); err != nil {
		return Failure{}, err
	}
	if envelope.Type != "error" || envelope.Error.Type == "" || envelope.Error.Message == "" {
		return Failure{}, mismatch(want, "%s", body)
	}
	return Failure{Type: envelope.Error.Type, Message: envelope.Error.Message}, nil
}
