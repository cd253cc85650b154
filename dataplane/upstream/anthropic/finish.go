package anthropic

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// finish reads why an answer ended, from the object that has stop_reason; once.
func (d *decoder) finish(raw []byte) {
	if d.finished {
		return
	}
	d.finished = true
	if rest := d.fence.end(); rest != "" {
		d.add(chat.Piece{Kind: chat.PieceText, Text: rest})
	}
	f := &chat.Finish{}
	f.Native, _ = jsonscan.String(jsonscan.Field(raw, "stop_reason"))
	f.Explanation, _ = jsonscan.String(jsonscan.Field(jsonscan.Field(raw, "stop_details"), "explanation"))
	switch f.Native {
	case "stop_sequence":
		f.Reason = chat.FinishSequence
		f.Sequence, _ = jsonscan.String(jsonscan.Field(raw, "stop_sequence"))
	case "max_tokens", "model_context_window_exceeded":
		f.Reason = chat.FinishLength
	case "tool_use":
		f.Reason = chat.FinishTools
	case "refusal":
		f.Reason = chat.FinishRefusal
	case "pause_turn":
		f.Reason = chat.FinishPause
	default: // end_turn, and words that are not known yet
		f.Reason = chat.FinishStop
	}
	switch {
	case f.Reason == chat.FinishStop && d.calls > 0:
		f.Reason = chat.FinishTools
	case f.Reason == chat.FinishTools && d.calls == 0 && d.jsonCalled:
		f.Reason = chat.FinishStop
	}
	d.add(chat.Piece{Kind: chat.PieceFinish, Finish: f})
}

// fence takes the fence of Markdown off a text that is JSON, wherever the text is cut: "```json\n{}\n```" is "{}".
type fence struct {
	on bool
	// inside says that the text has begun, and fenced that it began with a fence.
	inside, fenced bool
	held           string
}

const (
	ticks = "```"
	white = " \t\r\n"
)

// feed takes the next bytes and gives out those that are certainly of the answer.
func (f *fence) feed(s string) string {
	if !f.on {
		return s
	}
	f.held += s
	if !f.inside && !f.begin(false) {
		return ""
	}
	if !f.fenced {
		s, f.held = f.held, ""
		return s
	}
	// The closing fence is the last of the text, white space aside: what could be the beginning of it waits.
	keep := len(strings.TrimRight(f.held, white+"`"))
	s, f.held = f.held[:keep], f.held[keep:]
	return s
}

// begin decides whether the text begins with a fence; false: that cannot be told yet. last says that nothing more comes.
func (f *fence) begin(last bool) bool {
	head := strings.TrimLeft(f.held, white)
	if strings.HasPrefix(head, ticks) {
		// The language may follow: "json", letters anyhow.
		after := strings.TrimLeftFunc(head[len(ticks):], func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
		if after == "" && !last {
			return false
		}
		f.inside, f.fenced, f.held = true, true, strings.TrimLeft(after, white)
		return true
	}
	if strings.HasPrefix(ticks, head) && !last {
		return false
	}
	f.inside = true
	return true
}

// end gives out what was held back and is no closing fence.
func (f *fence) end() string {
	if !f.on {
		return ""
	}
	if !f.inside {
		f.begin(true)
	}
	s := f.held
	f.held = ""
	if f.fenced {
		return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(s, white), ticks), white)
	}
	return s
}
