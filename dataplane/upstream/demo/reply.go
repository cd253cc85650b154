package demo

import (
	"encoding/json"
	"fmt"
	"strings"
)

// request is the part of a chat completion request that the demo model looks at.
type request struct {
	Messages       []message       `json:"messages"`
	Tools          []tool          `json:"tools"`
	Functions      []function      `json:"functions"`
	ToolChoice     json.RawMessage `json:"tool_choice"`
	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name       string          `json:"name"`
	Parameters json.RawMessage `json:"parameters"`
}

// length is that of all that a model would read.
func (r *request) length() int {
	n := 0
	for _, m := range r.Messages {
		n += len(m.Role) + len(m.Content)
	}
	for _, t := range r.Tools {
		n += len(t.Function.Name) + len(t.Function.Parameters)
	}
	return n + len(r.ResponseFormat.JSONSchema.Schema)
}

func (r *request) reply() reply {
	var last message
	if n := len(r.Messages); n > 0 {
		last = r.Messages[n-1]
	}
	if f, ok := r.tool(); ok && last.Role != "tool" && last.Role != "function" {
		return reply{tool: f.Name, arguments: sample(f.Parameters)}
	}
	switch r.ResponseFormat.Type {
	case "json_schema":
		return reply{text: sample(r.ResponseFormat.JSONSchema.Schema)}
	case "json_object":
		return reply{text: `{"answer":"This is the demo model of Layers.","demo":true}`}
	}
	return reply{text: speak(last)}
}

// tool is the one to call: the forced one, else the first; false: none.
func (r *request) tool() (function, bool) {
	var mode string
	if json.Unmarshal(r.ToolChoice, &mode) == nil && mode == "none" {
		return function{}, false
	}
	var forced tool
	// tool_choice is a word or an object; as a word it forces no name.
	_ = json.Unmarshal(r.ToolChoice, &forced)
	all := r.Functions
	for _, t := range r.Tools {
		if t.Type == "function" {
			all = append(all, t.Function)
		}
	}
	for _, f := range all {
		if forced.Function.Name == "" || f.Name == forced.Function.Name {
			return f, true
		}
	}
	return function{}, false
}

// maxQuote is how much of the user's text the model repeats, in runes.
const maxQuote = 200

// speak is an answer in words to a message.
func speak(m message) string {
	var text string
	images := 0
	if json.Unmarshal(m.Content, &text) != nil {
		text, images = parts(m.Content)
	}
	var b strings.Builder
	b.WriteString("This is the demo model of Layers: it runs inside the gateway, calls no provider and costs nothing.")
	switch images {
	case 0:
	case 1:
		b.WriteString(" I received an image.")
	default:
		fmt.Fprintf(&b, " I received %d images.", images)
	}
	if m.Role == "tool" || m.Role == "function" {
		b.WriteString(" The tool's result arrived, thank you.")
	}
	if runes := []rune(text); len(runes) > 0 {
		if len(runes) > maxQuote {
			text = string(runes[:maxQuote]) + "…"
		}
		fmt.Fprintf(&b, " You said: %s", text)
	}
	b.WriteString("\n\nConfigure a Provider and a Model to get real answers.")
	return b.String()
}

// parts joins the texts of a content array and counts its images.
func parts(content json.RawMessage) (text string, images int) {
	var list []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	// Content of another shape has no text.
	_ = json.Unmarshal(content, &list)
	var texts []string
	for _, p := range list {
		switch p.Type {
		case "text":
			texts = append(texts, p.Text)
		case "image_url", "input_image":
			images++
		}
	}
	return strings.Join(texts, " "), images
}
