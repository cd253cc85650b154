package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Recorded requests to Anthropic and Gemini, said by clients of other protocols, reach the provider as they were.
func TestRequestsInOtherWords(t *testing.T) {
	cases := recorded(t)
	var plans []planned
	var routes []route
	said := map[string]Asked{}
	for i := range cases {
		c := &cases[i]
		if c.Request == nil || c.Status != 200 || !c.conversation() || c.Provider != "anthropic" && c.Provider != "gemini" {
			continue
		}
		for _, protocol := range inbounds {
			p, _ := plan(c, protocol)
			if p.passes {
				continue
			}
			a, err := p.asked(c.Request)
			if err != nil {
				t.Fatal(err)
			}
			said[p.name] = a
			plans, routes = append(plans, p), append(routes, p.route)
		}
	}
	if len(plans) == 0 {
		t.Skip("no recorded requests beside the checkout; the packages' own tests cover the rules")
	}
	w := newWorld(t, routes)
	compared := 0
	for _, p := range plans {
		w.provider.serve(p.name, p.Case)
		t.Run(string(p.protocol)+"/"+p.ID, func(t *testing.T) {
			a := said[p.name]
			if a.Foreign != "" {
				t.Skip("no other protocol has a word for", a.Foreign)
			}
			r := w.ask(t, p.protocol, p.say(t, a))
			sent := w.provider.last(p.name)
			if sent.body == nil {
				t.Fatalf("the provider was not asked: %d %s", r.status, r.body)
			}
			got, err := p.asked(sent.body)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(p.sayable(a), p.sayable(got)); d != "" {
				t.Errorf("(-recorded +sent), dropped %s\n%s", r.header.Get("X-Layers-Dropped-Params"), d)
			}
			compared++
		})
	}
	if compared < 150 {
		t.Errorf("only %d requests were compared", compared)
	}
}

func (p planned) asked(body []byte) (Asked, error) {
	if p.Provider == "gemini" {
		return AskedGemini(body)
	}
	return AskedMessages(body)
}

// sayable leaves out what the client's protocol has no word for.
func (p planned) sayable(a Asked) Asked {
	if p.protocol == chat.Responses {
		a.Stop, a.Thinking = nil, ""
	}
	if p.protocol == chat.Messages && a.Max == "" {
		a.Max = "4096" // a client of Messages always says it
	}
	if a.Thinking != "" && a.Thinking != "off" {
		a.Temperature = "" // Anthropic takes no other than its own with thinking
	}
	tools := a.Tools
	a.Tools = nil
	for _, tool := range tools {
		if tool.Schema == "" {
			tool.Schema = `{"properties":{},"type":"object"}`
		}
		a.Tools = append(a.Tools, tool)
	}
	turns := a.Turns
	a.Turns = nil
	for _, turn := range turns {
		var parts []AskedPart
		for _, part := range turn.Parts {
			if p.protocol == chat.Responses || part.Kind == "call" {
				part.Cache = ""
			}
			if strings.Contains(part.Text, "://") && p.Provider == "gemini" {
				part.Type = "" // a client tells the address alone
			}
			parts = append(parts, part)
		}
		a.Turns = append(a.Turns, Turn{turn.User, parts})
	}
	return a
}

// say writes a request in the client's words.
func (p planned) say(t *testing.T, a Asked) []byte {
	t.Helper()
	body := object{"model": p.name, "stream": p.Stream}
	switch p.protocol {
	case chat.Completions:
		p.sayChat(a, body)
	case chat.Messages:
		p.sayMessages(a, body)
	default:
		p.sayResponses(a, body)
	}
	if a.Temperature != "" {
		body["temperature"] = a.Temperature
	}
	out, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// named gives calls and results ids where the provider has none.
func (a Asked) named() []Turn {
	var out []Turn
	calls, results := 0, 0
	for _, turn := range a.Turns {
		var parts []AskedPart
		for _, p := range turn.Parts {
			switch {
			case p.Kind == "call" && p.ID == "":
				p.ID = fmt.Sprintf("call_%d", calls)
				calls++
			case p.Kind == "result" && p.ID == "":
				p.ID = fmt.Sprintf("call_%d", results)
				results++
			}
			parts = append(parts, p)
		}
		out = append(out, Turn{turn.User, parts})
	}
	return out
}

func marked(o object, cache string) object {
	switch cache {
	case "":
	case "5m":
		o["cache_control"] = object{"type": "ephemeral"}
	default:
		o["cache_control"] = object{"type": "ephemeral", "ttl": cache}
	}
	return o
}

// url is where an image or a document is, or its bytes.
func (p AskedPart) url() string {
	if strings.Contains(p.Text, "://") {
		return p.Text
	}
	return "data:" + p.Type + ";base64," + p.Text
}

func (p planned) sayChat(a Asked, body object) {
	var messages []any
	if a.System != "" {
		messages = append(messages, object{"role": "system", "content": a.System})
	}
	for _, turn := range a.named() {
		var content, calls, details []any
		for _, one := range turn.Parts {
			switch one.Kind {
			case "text":
				content = append(content, marked(object{"type": "text", "text": one.Text}, one.Cache))
			case "image":
				content = append(content, marked(object{"type": "image_url", "image_url": object{"url": one.url()}}, one.Cache))
			case "document":
				content = append(content, marked(object{"type": "file", "file": object{"file_data": one.url()}}, one.Cache))
			case "thought":
				detail := object{"type": "reasoning.text", "text": one.Text, "signature": one.Opaque, "format": chat.FormatAnthropic, "index": len(details)}
				if one.Text == "" {
					detail = object{"type": "reasoning.encrypted", "data": one.Opaque, "format": chat.FormatAnthropic, "index": len(details)}
				}
				details = append(details, detail)
			case "call":
				call := object{"id": one.ID, "type": "function", "function": object{"name": one.Name, "arguments": one.Text}}
				if one.Opaque != "" {
					call["extra_content"] = object{"google": object{"thought_signature": one.Opaque}}
				}
				calls = append(calls, call)
			case "result":
				messages = append(messages, marked(object{"role": "tool", "tool_call_id": one.ID, "content": one.Text}, one.Cache))
			}
		}
		message := object{"role": "user", "content": content}
		if !turn.User {
			message["role"] = "assistant"
			if calls != nil {
				message["tool_calls"] = calls
			}
			if details != nil {
				message["reasoning_details"] = details
			}
		}
		if content != nil || calls != nil {
			messages = append(messages, message)
		}
	}
	body["messages"] = messages
	for _, t := range a.Tools {
		f := object{"name": t.Name, "description": t.Description}
		if t.Schema != "" {
			f["parameters"] = json.RawMessage(t.Schema)
		}
		tools, _ := body["tools"].([]any)
		body["tools"] = append(tools, marked(object{"type": "function", "function": f}, t.Cache))
	}
	switch a.Choice {
	case "":
	case "auto", "none", "required":
		body["tool_choice"] = a.Choice
	default:
		body["tool_choice"] = object{"type": "function", "function": object{"name": a.Choice}}
	}
	if a.Max != "" {
		body["max_tokens"] = a.Max
	}
	if a.Stop != nil {
		body["stop"] = a.Stop
	}
	if a.Schema != "" {
		body["response_format"] = object{"type": "json_schema", "json_schema": object{"name": "answer", "schema": json.RawMessage(a.Schema)}}
	}
	kind, rest, _ := strings.Cut(a.Thinking, " ")
	switch kind {
	case "off":
		body["thinking"] = object{"type": "disabled"}
	case "adaptive":
		body["thinking"] = object{"type": "adaptive", "display": "summarized"}
	case "budget":
		body["thinking"] = object{"type": "enabled", "budget_tokens": json.Number(rest)}
		if rest == "0" {
			body["thinking"] = object{"type": "disabled"}
		}
	case "level":
		body["reasoning_effort"] = rest
	}
}
