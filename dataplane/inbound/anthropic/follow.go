package anthropic

import (
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
)

// leastBudget is the smallest budget of thinking that the API takes; it must be below max_tokens.
const leastBudget = 1024

// Clamp bounds the answer, and a budget of thinking that would leave no room for it.
func (Messages) Clamp(r *chat.Request, most int64) *chat.Request {
	return r.Clamp(most, func(fields jsonscan.Object) []jsonscan.Edit { return thinkLess(r.Body, fields, most) }, "max_tokens")
}

// thinkLess halves a budget of thinking that is not below most; where there is no room for any, the model does not think.
func thinkLess(body []byte, fields jsonscan.Object, most int64) []jsonscan.Edit {
	m, ok := fields.Get("thinking")
	if !ok {
		return nil
	}
	raw := body[m.ValueStart:m.ValueEnd]
	inner, err := jsonscan.Scan(raw)
	if err != nil {
		return nil // null
	}
	budget, ok := inner.Get("budget_tokens")
	if !ok {
		return nil
	}
	switch n, _ := jsonscan.Int(raw[budget.ValueStart:budget.ValueEnd]); {
	case n < most:
		return nil
	case most <= leastBudget:
		return []jsonscan.Edit{m.Replace([]byte(`{"type":"disabled"}`))}
	}
	edit := budget.Replace(strconv.AppendInt(nil, max(leastBudget, most/2), 10))
	edit.Start += m.ValueStart
	edit.End += m.ValueStart
	return []jsonscan.Edit{edit}
}

// Follow follows the events of a message; see chat.Dialect.
func (Messages) Follow(*chat.Request) chat.Follower { return &follower{open: -1} }

// follower remembers which block is open: there is one at a time.
type follower struct {
	open  int64 // -1: none
	ended bool  // the reason of the end is told
}

// Event sees an event.
func (f *follower) Event(data []byte) {
	switch kind, _ := jsonscan.String(jsonscan.Field(data, "type")); kind {
	case "content_block_start":
		f.open, _ = jsonscan.Int(jsonscan.Field(data, "index"))
	case "content_block_stop":
		f.open = -1
	case "message_delta":
		f.ended = true
	}
}

// Stop closes the open block and ends the message for its length.
func (f *follower) Stop(dst []byte, t chat.Total) []byte {
	if f.open >= 0 {
		dst = event(dst, "content_block_stop", struct {
			Type  string `json:"type"`
			Index int64  `json:"index"`
		}{"content_block_stop", f.open})
	}
	if !f.ended {
		dst = event(dst, "message_delta", struct {
			Type  string    `json:"type"`
			Delta stopDelta `json:"delta"`
			Usage usage     `json:"usage"`
		}{"message_delta", stopOf(chat.Finish{Reason: chat.FinishLength}, false, false), usageOf(t)})
	}
	return sse.Append(dst, "message_stop", []byte(`{"type":"message_stop"}`))
}
