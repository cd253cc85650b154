package verify

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func fakeNow() time.Time { return time.Unix(1_790_000_000, 0) }

// think is the fake's model.
func (f *fake) think(req *chat.Request, p *chat.Prompt) (*chat.Answer, pricing.Usage, *chat.Error) {
	parts, reason := f.reply(p)
	if p.MaxOutputTokens == shortest {
		parts, reason = []chat.Part{{Kind: chat.PartText, Text: "1 2 3"}}, chat.FinishLength
	}
	u := pricing.Usage{Input: 12, Output: 7}
	if p.Reasoning != nil && !p.Reasoning.Off {
		if forgot(p) && !f.forgetful {
			return nil, u, &chat.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Message: "thoughts must come back with the results of tools"}
		}
		thought := chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Text: "Let me see.", Signature: "c2lnbmVk", Format: chat.FormatAnthropic}}
		parts = append([]chat.Part{thought}, parts...)
		u.Output, u.Reasoning = 30, 20
	}
	if req.InputBytes > 10_000 {
		f.mu.Lock()
		defer f.mu.Unlock()
		key := text0(p)
		if f.seen[key] {
			u.CacheRead = 5000
		} else {
			u.CacheWrite = 5000
		}
		f.seen[key] = true
	}
	a := &chat.Answer{ID: "msg_" + req.ID, Model: req.Model, Choices: []chat.Choice{{Parts: parts, Finish: chat.Finish{Reason: reason}}}}
	return a, u, nil
}

// text0 is the first text of a conversation.
func text0(p *chat.Prompt) string {
	for _, m := range p.Messages {
		for _, part := range m.Parts {
			return part.Text
		}
	}
	return ""
}

// forgot says that results came without the thoughts that belong to their calls.
func forgot(p *chat.Prompt) bool {
	return hasPart(p, chat.PartResult) && !hasPart(p, chat.PartThought)
}

func hasPart(p *chat.Prompt, kind chat.PartKind) bool {
	return slices.ContainsFunc(p.Messages, func(m chat.Message) bool {
		return slices.ContainsFunc(m.Parts, func(part chat.Part) bool { return part.Kind == kind })
	})
}

func (f *fake) reply(p *chat.Prompt) ([]chat.Part, chat.FinishReason) {
	say := func(text string) ([]chat.Part, chat.FinishReason) {
		return []chat.Part{{Kind: chat.PartText, Text: text}}, chat.FinishStop
	}
	switch {
	case hasPart(p, chat.PartResult):
		return say("It is 41.7 degrees.")
	case len(p.Tools) > 0:
		return calls(p), chat.FinishTools
	case p.Format != nil && p.Format.Schema != nil:
		return say(`{"city":"Lisbon","founded":-1200,"coast":true}`)
	case p.Format != nil:
		return say(`{"city":"Lisbon"}`)
	case strings.Contains(p.Messages[len(p.Messages)-1].Parts[0].Text, "a JSON object"): // of a protocol that cannot ask for one
		return say(`{"city":"Lisbon"}`)
	case p.Search != nil:
		cited := []chat.Citation{{URL: "https://go.dev/doc", Title: "Go", Start: 0, End: 2}}
		return []chat.Part{{Kind: chat.PartText, Text: "Go 1.26.", Citations: cited}}, chat.FinishStop
	case hasPart(p, chat.PartImage):
		return say("Red.")
	case p.Reasoning != nil:
		return say("24")
	}
	return say("pong")
}

// calls are one of the tool that is forced, or of the last one for each of two cities.
func calls(p *chat.Prompt) []chat.Part {
	name, n := p.Tools[len(p.Tools)-1].Name, 1
	switch p.ToolChoice.Mode {
	case chat.ChooseTool:
		name = p.ToolChoice.Name
	case chat.ChooseRequired:
		n = 2
	}
	var out []chat.Part
	for i := range n {
		args := fmt.Sprintf(`{"city":%q}`, []string{"Lisbon", "Oslo"}[i])
		if name == now.Name {
			args = "{}"
		}
		out = append(out, chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: fmt.Sprintf("toolu_%d", i), Name: name, Arguments: args}})
	}
	return out
}

// pieces are an answer as it streams.
func pieces(a *chat.Answer) []chat.Piece {
	out := []chat.Piece{{Kind: chat.PieceStart, ID: a.ID, Model: a.Model}}
	n := 0
	for _, part := range a.Choices[0].Parts {
		switch part.Kind {
		case chat.PartThought:
			out = append(out, chat.Piece{Kind: chat.PieceReasoning, Text: part.Thought.Text})
			if part.Thought.Signature != "" {
				out = append(out, chat.Piece{Kind: chat.PieceSigned, Thought: &chat.Thought{Signature: part.Thought.Signature, Format: part.Thought.Format}})
			}
		case chat.PartText:
			for _, word := range strings.SplitAfter(part.Text, " ") {
				out = append(out, chat.Piece{Kind: chat.PieceText, Text: word})
			}
			for _, c := range part.Citations {
				out = append(out, chat.Piece{Kind: chat.PieceCitation, Citation: &c})
			}
		case chat.PartCall:
			call := *part.Call
			call.Arguments = ""
			out = append(out, chat.Piece{Kind: chat.PieceCall, Index: n, Call: &call}, chat.Piece{Kind: chat.PieceArguments, Index: n, Text: part.Call.Arguments})
			n++
		}
	}
	return append(out, chat.Piece{Kind: chat.PieceFinish, Finish: &a.Choices[0].Finish})
}

// firstText changes the first text of an answer.
func firstText(a *chat.Answer, text string) {
	for i, part := range a.Choices[0].Parts {
		if part.Kind == chat.PartText {
			a.Choices[0].Parts[i].Text = text
			return
		}
	}
}

// firstCall changes the first call of an answer.
func firstCall(a *chat.Answer, change func(*chat.ToolCall)) {
	for _, part := range a.Choices[0].Parts {
		if part.Kind == chat.PartCall {
			change(part.Call)
			return
		}
	}
}
