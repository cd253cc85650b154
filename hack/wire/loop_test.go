package wire

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// kept is what a provider must get back of its own answer, in the order in which it came: thoughts with their text and what
// is opaque in them, calls with their ids and signatures, signatures of texts.
type kept struct{ Kind, Text, Opaque, ID, Name, Arguments string }

type object = map[string]any

// clients are how much of an answer a client gives back.
var clients = []struct {
	name     string
	protocol chat.Protocol
	// plain says that it keeps OpenAI's own fields alone.
	plain bool
}{
	{"chat", chat.Completions, false}, {"chat of plain fields", chat.Completions, true}, {"messages", chat.Messages, false}, {"responses", chat.Responses, false},
}

// A tool call with its signed thoughts comes back to the provider as it was, whatever the client speaks and keeps.
func TestToolLoops(t *testing.T) {
	cases := append(exchanges(t), thoughtful(t)...)
	var plans []planned
	var routes []route
	for i := range cases {
		for _, protocol := range inbounds {
			p, ok := plan(&cases[i], protocol)
			if ok && p.Status == http.StatusOK && len(p.keeps(t)) > 0 {
				plans, routes = append(plans, p), append(routes, p.route)
			}
		}
	}
	w := newWorld(t, routes)
	t.Run("all", func(t *testing.T) {
		for _, p := range plans {
			w.provider.serve(p.name, p.Case)
			for _, c := range clients {
				// Who loses fields at a provider of the same protocol has lost them there, too.
				if c.protocol == p.protocol && (!p.passes || !c.plain) {
					t.Run(c.name+"/"+p.ID, func(t *testing.T) { p.loop(t, w, c.plain) })
				}
			}
		}
	})
	if len(plans) < 9 || len(cases) > 200 && len(plans) < 60 {
		t.Errorf("only %d recordings have signed calls", len(plans))
	}
}

// thoughtful are answers made of recorded requests that give encrypted thoughts back to OpenAI: what they give back was
// answered once, of which no answer is on record.
func thoughtful(t *testing.T) []Case {
	var out []Case
	for _, c := range recorded(t) {
		if c.Provider != "openai" || c.API != "responses" || c.Capability != "tool_result_reasoning_roundtrip" {
			continue
		}
		var asked struct{ Input []json.RawMessage }
		decode(t, c.Request, &asked)
		var items []json.RawMessage
		for _, raw := range asked.Input {
			var it struct{ Type string }
			decode(t, raw, &it)
			if it.Type == "function_call_output" {
				break // what follows was another answer
			}
			if it.Type == "reasoning" || it.Type == "function_call" {
				items = append(items, raw)
			}
		}
		body, err := json.Marshal(object{
			"id": "resp_1", "object": "response", "status": "completed", "output": items, "usage": object{"input_tokens": 3, "output_tokens": 2},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.ID, c.Stream, c.Body, c.Request = "answer-before-"+c.ID, false, body, nil
		c.Header = http.Header{"Content-Type": {"application/json"}}
		out = append(out, c)
	}
	return out
}

// keeps is what of a recording must come back; nil: it has no call, or nothing that is opaque.
func (p planned) keeps(t *testing.T) []kept {
	v := p.view()
	if v.Failure != nil || len(v.Choices) != 1 || len(v.Choices[0].Calls) == 0 || len(v.Choices[0].Opaque) == 0 {
		return nil
	}
	switch {
	case p.API == "messages":
		return keptOfMessages(p.message())
	case p.Provider == "gemini":
		return keptOfGemini(p.geminiParts(t))
	case p.API == "responses" && p.Provider == "openai":
		return keptOfResponses(p.output(t))
	case p.kind == snapshot.VercelAIGateway:
		return keptOfCompletions(p.assistant(t))
	}
	return nil
}

// assistant is the message of a recorded chat completion.
func (p planned) assistant(t *testing.T) completionsMessage {
	var out completionsMessage
	message, err := json.Marshal(p.heardMessage(t, p.Body))
	if err != nil {
		t.Fatal(err)
	}
	decode(t, message, &out)
	return out
}

// heardMessage is the message of a chat completion as a client has it.
func (p planned) heardMessage(t *testing.T, body []byte) object {
	t.Helper()
	if p.Stream {
		return accumulated(t, body)
	}
	var o struct{ Choices []struct{ Message object } }
	decode(t, body, &o)
	return o.Choices[0].Message
}

func keptOfCompletions(m completionsMessage) []kept {
	var out []kept
	for _, d := range m.Details {
		if d.Data+d.Signature != "" {
			out = append(out, kept{Kind: "thought", Opaque: d.Data + d.Signature})
		}
	}
	for _, c := range m.Calls {
		out = append(out, kept{Kind: "call", ID: *c.ID, Name: c.Function.Name, Arguments: canonical(c.Function.Arguments)})
	}
	return out
}

// message is the content of a recorded message.
func (p planned) message() []messagesBlock {
	r := messagesReader{}
	if p.Stream {
		r.stream(p.Body)
		return r.blocks
	}
	var m struct{ Content []messagesBlock }
	_ = json.Unmarshal(p.Body, &m) // it was read before
	return m.Content
}

func keptOfMessages(blocks []messagesBlock) []kept {
	var out []kept
	for _, b := range blocks {
		switch b.Type {
		case "thinking":
			out = append(out, kept{Kind: "thought", Text: b.Thinking, Opaque: b.Signature})
		case "redacted_thinking":
			out = append(out, kept{Kind: "thought", Opaque: b.Data})
		case "tool_use":
			arguments := string(b.Input)
			if b.partial != "" {
				arguments = b.partial
			}
			out = append(out, kept{Kind: "call", ID: b.ID, Name: b.Name, Arguments: canonical(arguments)})
		}
	}
	return out
}

type geminiPart struct {
	Text      string
	Thought   bool
	Signature string `json:"thoughtSignature"`
	Call      *struct {
		ID, Name string
		Args     json.RawMessage
	} `json:"functionCall"`
}

func (p planned) geminiParts(t *testing.T) []geminiPart {
	var out []geminiPart
	for _, raw := range geminiChunks(p.Stream, p.Body) {
		var c struct {
			Candidates []struct{ Content struct{ Parts []geminiPart } }
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		for _, one := range c.Candidates {
			out = append(out, one.Content.Parts...)
		}
	}
	return out
}

// keptOfGemini are the calls with their signatures: thoughts are never given back, only what signs.
func keptOfGemini(parts []geminiPart) []kept {
	var out []kept
	for _, p := range parts {
		if p.Call != nil {
			out = append(out, kept{Kind: "call", ID: p.Call.ID, Name: p.Call.Name, Arguments: canonical(string(p.Call.Args)), Opaque: p.Signature})
		}
	}
	return out
}

func (p planned) output(t *testing.T) []json.RawMessage {
	r := responsesReader{}
	if p.Stream {
		r.stream(p.Body)
	} else {
		r.final = &responsesObject{}
		if err := json.Unmarshal(p.Body, r.final); err != nil {
			t.Fatal(err)
		}
	}
	return r.final.Output
}

func keptOfResponses(items []json.RawMessage) []kept {
	var out []kept
	for _, raw := range items {
		var it responsesItem
		if json.Unmarshal(raw, &it) != nil {
			continue
		}
		switch it.Type {
		case "reasoning":
			if it.Encrypted != "" {
				out = append(out, kept{Kind: "thought", Opaque: it.Encrypted, ID: it.ID})
			}
		case "function_call":
			out = append(out, kept{Kind: "call", ID: it.CallID, Name: it.Name, Arguments: canonical(it.Arguments)})
		}
	}
	return out
}
