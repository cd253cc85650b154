package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// inbounds are the protocols that every client of a conversation may speak.
var inbounds = []chat.Protocol{chat.Completions, chat.Messages, chat.Responses}

// spoken is the protocol that a recording is in; empty: Gemini's, which no client of the gateway speaks.
func (c *Case) spoken() chat.Protocol {
	switch c.API {
	case "chat":
		return chat.Completions
	case "messages":
		return chat.Messages
	case "responses":
		return chat.Responses
	}
	return ""
}

// conversation says that a recording is a turn of one, whoever asks.
func (c *Case) conversation() bool {
	switch c.API {
	case "chat", "messages", "responses", "generateContent", "streamGenerateContent":
		return len(c.Body) > 0
	case "models":
		return c.Status != 200 && c.Provider == "morph" // it refuses every path so
	}
	return false
}

// view reads the recorded answer.
func (c *Case) view() View {
	var v View
	switch c.API {
	case "messages":
		v, _ = Messages(c.Status, c.Stream, c.Body)
	case "responses":
		v, _ = Responses(c.Status, c.Stream, c.Body)
	case "generateContent", "streamGenerateContent":
		v = Gemini(c.Status, c.Stream, c.Body)
	default:
		v, _ = Completions(c.Status, c.Stream, c.Body)
	}
	return v
}

// planned is how a recording is served to clients of one protocol.
type planned struct {
	*Case
	protocol chat.Protocol
	route
	// passes says that the recording is in the client's protocol and its bytes go through.
	passes bool
}

// plan finds the provider that answers a client of a protocol with the recording.
func plan(c *Case, protocol chat.Protocol) (planned, bool) {
	p := planned{Case: c, protocol: protocol, passes: c.spoken() == protocol}
	p.name = strings.ReplaceAll(string(protocol), ".", "-") + "-" + c.ID
	p.model = strings.TrimPrefix(c.Model, "models/")
	if p.model == "" || strings.ContainsAny(p.model, " ") || p.model == "unknown" {
		p.model = map[string]string{"anthropic": "claude-sonnet-5", "gemini": "gemini-3-flash-preview"}[c.Provider]
	}
	if p.model == "" {
		p.model = "some-model"
	}
	switch c.Provider {
	case "anthropic":
		p.kind = snapshot.Anthropic
	case "gemini":
		p.kind = snapshot.Gemini
	case "perplexity":
		p.kind = snapshot.OpenAICompatible
		if c.API == "responses" {
			p.kind, p.passes = snapshot.Perplexity, false
		}
	case "morph":
		p.kind = snapshot.Morph
	case "vercel":
		p.kind = snapshot.VercelAIGateway
		if protocol == chat.Responses {
			p.kind = snapshot.OpenAICompatible // Vercel's own Responses would be asked
		}
	case "openai":
		p.kind = snapshot.OpenAI
		if c.API == "chat" && protocol != chat.Completions && c.Capability != "web_search" || protocol == chat.Responses && c.API != "responses" {
			p.kind = snapshot.OpenAICompatible // OpenAI's own Responses would be asked
		}
		if c.API == "responses" && (c.Model == "" || !strings.HasPrefix(c.Model, "gpt-5")) {
			p.model = "gpt-5.4"
		}
	default:
		p.kind = snapshot.OpenAICompatible
	}
	return p, c.conversation()
}

// body is a client's request: the recorded one where it is in the client's protocol, else a short one.
func (p planned) body(t testing.TB) []byte {
	t.Helper()
	if p.passes && p.Request != nil {
		return setModel(t, p.Request, p.name)
	}
	return p.short()
}

// short asks something in a few words.
func (p planned) short() []byte {
	search := ""
	stream := ""
	switch p.protocol {
	case chat.Completions:
		if p.Stream {
			stream = `,"stream":true,"stream_options":{"include_usage":true}`
		}
		if p.API == "responses" || strings.Contains(p.Capability, "search") && p.kind != snapshot.OpenAICompatible {
			search = `,"web_search_options":{}`
		}
		return fmt.Appendf(nil, `{"model":%q,"max_completion_tokens":4096,"messages":[{"role":"user","content":"hi"}]%s%s}`, p.name, stream, search)
	case chat.Messages:
		if p.Stream {
			stream = `,"stream":true`
		}
		return fmt.Appendf(nil, `{"model":%q,"max_tokens":4096,"messages":[{"role":"user","content":"hi"}]%s}`, p.name, stream)
	}
	if p.Stream {
		stream = `,"stream":true`
	}
	return fmt.Appendf(nil, `{"model":%q,"max_output_tokens":4096,"input":"hi"%s}`, p.name, stream)
}

// setModel replaces the value of the member "model", and no other byte.
func setModel(t testing.TB, body []byte, name string) []byte {
	t.Helper()
	start, end := member(body, "model")
	if start < 0 {
		t.Fatalf("a request without a model: %.200s", body)
	}
	return slices.Concat(body[:start], fmt.Appendf(nil, "%q", name), body[end:])
}

// member finds the value of an object's member; -1: it has none.
func member(body []byte, name string) (start, end int) {
	d := json.NewDecoder(bytes.NewReader(body))
	if _, err := d.Token(); err != nil {
		return -1, -1
	}
	for d.More() {
		found, err := d.Token()
		if err != nil {
			return -1, -1
		}
		at := int(d.InputOffset())
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return -1, -1
		}
		if found == name {
			end = int(d.InputOffset())
			return at + bytes.Index(body[at:end], value), end
		}
	}
	return -1, -1
}

// heard reads a client's bytes.
func heard(protocol chat.Protocol, status int, stream bool, body []byte) (View, []string) {
	switch protocol {
	case chat.Completions:
		return Completions(status, stream, body)
	case chat.Messages:
		return Messages(status, stream, body)
	}
	return Responses(status, stream, body)
}
