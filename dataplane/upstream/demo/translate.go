package demo

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Fit says that the demo model speaks OpenAI's chat completions itself and what can be translated.
func (u *Upstream) Fit(_ *snapshot.Provider, protocol chat.Protocol) chat.Fit {
	switch protocol {
	case chat.Completions:
		return chat.Passes
	case chat.Messages, chat.Responses:
		return chat.Translates
	}
	return chat.Unfit
}

// fromPrompt is a translated request as the demo model reads it.
func fromPrompt(p *chat.Prompt) request {
	var r request
	for _, m := range p.Messages {
		role, list := string(m.Role), []map[string]string{}
		for _, part := range m.Parts {
			switch part.Kind {
			case chat.PartText:
				list = append(list, map[string]string{"type": "text", "text": part.Text})
			case chat.PartImage:
				list = append(list, map[string]string{"type": "input_image"})
			case chat.PartResult:
				role = "tool"
			}
		}
		content, err := json.Marshal(list)
		if err != nil {
			content = nil // strings always encode
		}
		r.Messages = append(r.Messages, message{Role: role, Content: content})
	}
	for _, t := range p.Tools {
		r.Tools = append(r.Tools, tool{Type: "function", Function: function{Name: t.Name, Parameters: t.Schema}})
	}
	switch p.ToolChoice.Mode {
	case chat.ChooseNone:
		r.ToolChoice = json.RawMessage(`"none"`)
	case chat.ChooseTool:
		forced, err := json.Marshal(tool{Type: "function", Function: function{Name: p.ToolChoice.Name}})
		if err == nil {
			r.ToolChoice = forced
		}
	}
	if p.Format != nil {
		r.ResponseFormat.Type, r.ResponseFormat.JSONSchema.Schema = "json_object", p.Format.Schema
		if p.Format.Schema != nil {
			r.ResponseFormat.Type = "json_schema"
		}
	}
	return r
}

// parts are what the answer consists of.
func (a *answer) parts(choice int64) []chat.Part {
	if a.tool != "" {
		return []chat.Part{{Kind: chat.PartCall, Call: &chat.ToolCall{ID: a.callID(choice), Name: a.tool, Arguments: a.arguments}}}
	}
	return []chat.Part{{Kind: chat.PartText, Text: a.text}}
}

// reason is why it ended.
func (a *answer) reason() chat.Finish {
	switch {
	case a.truncated:
		return chat.Finish{Reason: chat.FinishLength}
	case a.tool != "":
		return chat.Finish{Reason: chat.FinishTools}
	}
	return chat.Finish{Reason: chat.FinishStop}
}

// translated is the whole answer in no protocol's words.
func (a *answer) translated() *chat.Answer {
	out := &chat.Answer{ID: a.id, Model: a.model, Created: a.created}
	for i := range a.choices {
		out.Choices = append(out.Choices, chat.Choice{Index: i, Parts: a.parts(i), Finish: a.reason()})
	}
	return out
}

// pieces are the events of the answer in no protocol's words.
func (a *answer) pieces() []chat.Event {
	var out []chat.Event
	add := func(p chat.Piece) {
		out = append(out, chat.Event{Pieces: []chat.Piece{p}, Content: p.Content(), OutputBytes: p.OutputBytes(), UpstreamID: a.id})
	}
	add(chat.Piece{Kind: chat.PieceStart, ID: a.id, Model: a.model})
	finish := a.reason()
	for i := range a.choices {
		if a.tool != "" {
			add(chat.Piece{Kind: chat.PieceCall, Choice: i, Call: &chat.ToolCall{ID: a.callID(i), Name: a.tool}})
		}
		for _, w := range words(a.arguments) {
			add(chat.Piece{Kind: chat.PieceArguments, Choice: i, Text: w})
		}
		for _, w := range words(a.text) {
			add(chat.Piece{Kind: chat.PieceText, Choice: i, Text: w})
		}
		add(chat.Piece{Kind: chat.PieceFinish, Choice: i, Finish: &finish})
	}
	usage := a.usage
	out[len(out)-1].Usage = &usage
	return out
}
