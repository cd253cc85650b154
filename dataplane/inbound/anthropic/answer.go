package anthropic

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// message is the body of an answer (Message of the SDKs), its members in the order of the API.
type message struct {
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	Role         string       `json:"role"`
	Model        string       `json:"model"`
	Content      []any        `json:"content"`
	StopReason   *string      `json:"stop_reason"`
	StopSequence *string      `json:"stop_sequence"`
	StopDetails  *stopDetails `json:"stop_details,omitempty"`
	Usage        usage        `json:"usage"`
}

// stopDetails says why the model declined.
type stopDetails struct {
	Type        string  `json:"type"`
	Category    *string `json:"category"`
	Explanation *string `json:"explanation"`
}

// usage counts each token once: input_tokens excludes what was read from and written to the cache.
type usage struct {
	Input         int64           `json:"input_tokens"`
	CacheCreation int64           `json:"cache_creation_input_tokens"`
	CacheRead     int64           `json:"cache_read_input_tokens"`
	Cache         *cacheCreation  `json:"cache_creation,omitempty"`
	Output        int64           `json:"output_tokens"`
	OutputDetails *outputDetails  `json:"output_tokens_details,omitempty"`
	Server        *serverToolUse  `json:"server_tool_use,omitempty"`
	Tier          string          `json:"service_tier,omitempty"`
	Cost          json.RawMessage `json:"cost,omitempty"`
}

type cacheCreation struct {
	FiveMinutes int64 `json:"ephemeral_5m_input_tokens"`
	Hour        int64 `json:"ephemeral_1h_input_tokens"`
}

type outputDetails struct {
	Thinking int64 `json:"thinking_tokens"`
}

type serverToolUse struct {
	Searches int64 `json:"web_search_requests"`
}

func usageOf(t chat.Total) usage {
	u := t.Usage
	out := usage{
		Input: u.Input, CacheCreation: u.CacheWrite + u.CacheWrite1h, CacheRead: u.CacheRead, Output: u.Output,
		Cache: &cacheCreation{FiveMinutes: u.CacheWrite, Hour: u.CacheWrite1h},
		Cost:  json.RawMessage(t.CostUSD),
	}
	if u.Reasoning > 0 {
		out.OutputDetails = &outputDetails{u.Reasoning}
	}
	if u.Searches > 0 {
		out.Server = &serverToolUse{u.Searches}
	}
	return out
}

// newMessage begins an answer to r; id is the provider's.
func newMessage(r *chat.Request, id string) message {
	return message{
		ID: messageID(r, id), Type: "message", Role: "assistant", Model: r.Model, Content: []any{},
		Usage: wholeUsage(chat.Total{Usage: pricing.Usage{}}),
	}
}

// wholeUsage is a message's; a message_delta tells no tier. Only the standard one is served.
func wholeUsage(t chat.Total) usage {
	u := usageOf(t)
	u.Tier = "standard"
	return u
}

// messageID is the provider's id where it looks like one of Anthropic's, or made of the request's.
func messageID(r *chat.Request, id string) string {
	if strings.HasPrefix(id, "msg_") {
		return id
	}
	return "msg_" + plainID(strings.TrimPrefix(r.ID, "req_"))
}

// Answer writes a translated message. Only the first choice is told: the protocol has no other.
func (Messages) Answer(r *chat.Request, a *chat.Answer, t chat.Total) ([]byte, error) {
	m := newMessage(r, a.ID)
	m.Usage = wholeUsage(t)
	w := blockWriter{request: r}
	w.sources(a.Sources)
	var finish chat.Finish
	if len(a.Choices) > 0 {
		finish = a.Choices[0].Finish
		for i := range a.Choices[0].Parts {
			w.part(&a.Choices[0].Parts[i])
		}
	}
	if w.content != nil {
		m.Content = w.content
	}
	m.stop(finish, w.calls > 0, w.refused)
	return encode(&m)
}

// stop fills in why the answer ended.
func (m *message) stop(f chat.Finish, called, refused bool) {
	d := stopOf(f, called, refused)
	m.StopReason, m.StopSequence, m.StopDetails = d.Reason, d.Sequence, d.Details
}

// stopDelta is why an answer ended, as message_delta has it.
type stopDelta struct {
	Reason   *string      `json:"stop_reason"`
	Sequence *string      `json:"stop_sequence"`
	Details  *stopDetails `json:"stop_details,omitempty"`
}

// stopOf translates a reason. Clients run tools only on tool_use, so that it is said whenever a call was made, whatever the
// provider called it; an answer that was cut or declined says so even then. Without a call it is never said.
func stopOf(f chat.Finish, called, refused bool) stopDelta {
	reason := "end_turn"
	switch {
	case f.Reason == chat.FinishLength:
		reason = "max_tokens"
	case f.Reason == chat.FinishFilter, f.Reason == chat.FinishRefusal, refused && !called:
		reason = "refusal"
	case called:
		reason = "tool_use"
	case f.Reason == chat.FinishSequence:
		reason = "stop_sequence"
	case f.Reason == chat.FinishPause:
		reason = "pause_turn"
	}
	d := stopDelta{Reason: &reason}
	if reason == "stop_sequence" && f.Sequence != "" {
		d.Sequence = &f.Sequence
	}
	if reason == "refusal" {
		d.Details = &stopDetails{Type: "refusal"}
		if f.Explanation != "" {
			d.Details.Explanation = &f.Explanation
		}
	}
	return d
}

// callID makes an id that Anthropic's API takes back; n is the call's number, for one that the provider gave no id.
func callID(r *chat.Request, id string, n int) string {
	if id == "" {
		return numbered("toolu_", r, n)
	}
	return plainID(id)
}

// numbered is an id of our own.
func numbered(prefix string, r *chat.Request, n int) string {
	return prefix + plainID(strings.TrimPrefix(r.ID, "req_")) + "_" + strconv.Itoa(n)
}

// plainID leaves letters, digits, _ and - alone: other ids are refused by Anthropic's API.
func plainID(id string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, id)
}

// invalidArguments is the one member of a call's input where the model's arguments are no JSON object: their text.
const invalidArguments = "invalid_arguments"

// inputOf makes an object of a call's arguments, always.
func inputOf(arguments string) json.RawMessage {
	if strings.TrimSpace(arguments) == "" {
		return json.RawMessage("{}")
	}
	if _, err := jsonscan.Scan([]byte(arguments)); err == nil {
		return json.RawMessage(arguments)
	}
	return invalidInput(arguments)
}

func invalidInput(arguments string) json.RawMessage {
	b := append([]byte(`{"`+invalidArguments+`":`), jsonscan.Quote(arguments)...)
	return append(b, '}')
}
