package gemini

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

// object is JSON as encoding/json reads it.
type object = map[string]any

var underscore = regexp.MustCompile(`_([a-z])`)

// plain brings a recorded request to one spelling: camelCase, no nulls and nothing that says what goes without saying.
func plain(v any, schema bool) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plain(v[i], schema)
		}
	case object:
		for name, value := range v {
			delete(v, name)
			if value == nil {
				continue
			}
			if !schema {
				name = underscore.ReplaceAllStringFunc(name, func(s string) string { return strings.ToUpper(s[1:]) })
			}
			switch inner := schema || name == "args" || name == "response"; {
			case name == "parameters", name == "parametersJsonSchema":
				v["parametersJsonSchema"] = plain(value, true)
			case name == "responseSchema", name == "responseJsonSchema":
				v["responseJsonSchema"] = plain(value, true)
			case schema && name == "type":
				v[name] = strings.ToLower(fmt.Sprint(value))
			default:
				v[name] = plain(value, inner)
			}
		}
	}
	return v
}

// tidy takes out of a plain request what has no counterpart, and empty things.
func tidy(r object) object {
	delete(r, "safetySettings") // the defaults of the recorder's client
	delete(r, "model")
	if s, ok := r["systemInstruction"].(object); ok {
		delete(s, "role")
		if one, ok := s["parts"].(object); ok {
			s["parts"] = []any{one}
		}
		s["parts"] = slices.DeleteFunc(s["parts"].([]any), func(p any) bool { return p.(object)["text"] == "" })
		for _, p := range list(s["parts"]) {
			delete(p, "thought") // false
		}
		if len(s["parts"].([]any)) == 0 {
			delete(r, "systemInstruction")
		}
	}
	for _, c := range list(r["contents"]) {
		for _, p := range list(c["parts"]) {
			if p["thought"] == false {
				delete(p, "thought")
			}
		}
	}
	for _, t := range list(r["tools"]) {
		for _, f := range list(t["functionDeclarations"]) {
			delete(f, "response")
			if f["description"] == "" {
				delete(f, "description")
			}
		}
	}
	if g, ok := r["generationConfig"].(object); ok {
		delete(g, "responseModalities") // TEXT, where it is at all
		if g["candidateCount"] == 1.0 {
			delete(g, "candidateCount")
		}
		if len(g) == 0 {
			delete(r, "generationConfig")
		}
	}
	return r
}

func list(v any) []object {
	var out []object
	all, _ := v.([]any)
	for _, one := range all {
		if o, ok := one.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func str(v any) string { s, _ := v.(string); return s }

func raw(t *testing.T, v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t *testing.T, v any) json.Number { return json.Number(raw(t, v)) }

func integer(v any) *int64 {
	f, ok := v.(float64)
	if !ok {
		return nil
	}
	n := int64(f)
	return &n
}

// inexpressible names what a recorded request asks for that no client's protocol has; empty: nothing.
func inexpressible(r object) string {
	for _, name := range []string{"cachedContent", "modelArmorConfig"} {
		if r[name] != nil {
			return name
		}
	}
	for _, t := range list(r["tools"]) {
		for _, name := range []string{"urlContext", "codeExecution"} {
			if t[name] != nil {
				return name
			}
		}
	}
	return ""
}

// toPrompt reads a tidy request backwards.
func toPrompt(t *testing.T, r object) *chat.Prompt {
	p := &chat.Prompt{Choices: 1}
	if s, ok := r["systemInstruction"].(object); ok {
		m := chat.Message{Role: chat.System}
		for _, one := range list(s["parts"]) {
			m.Parts = append(m.Parts, chat.Part{Kind: chat.PartText, Text: str(one["text"])})
		}
		p.Messages = append(p.Messages, m)
	}
	conversation(t, p, r)
	for _, one := range list(r["tools"]) {
		if one["googleSearch"] != nil {
			p.Search = &chat.Search{}
		}
		for _, f := range list(one["functionDeclarations"]) {
			p.Tools = append(p.Tools, chat.Tool{Name: str(f["name"]), Description: str(f["description"]), Schema: raw(t, f["parametersJsonSchema"])})
		}
	}
	if c, ok := r["toolConfig"].(object); ok {
		if f, ok := c["functionCallingConfig"].(object); ok {
			p.ToolChoice.Mode = map[string]chat.ChoiceMode{"AUTO": chat.ChooseAuto, "ANY": chat.ChooseRequired, "NONE": chat.ChooseNone}[str(f["mode"])]
		}
	}
	generation(t, p, r)
	return p
}

func generation(t *testing.T, p *chat.Prompt, r object) {
	g, _ := r["generationConfig"].(object)
	p.Temperature, p.TopP, p.TopK, p.Seed = number(t, g["temperature"]), number(t, g["topP"]), integer(g["topK"]), integer(g["seed"])
	p.PresencePenalty, p.FrequencyPenalty = number(t, g["presencePenalty"]), number(t, g["frequencyPenalty"])
	if n := integer(g["maxOutputTokens"]); n != nil {
		p.MaxOutputTokens = *n
	}
	if n := integer(g["candidateCount"]); n != nil {
		p.Choices = *n
	}
	if n := integer(g["logprobs"]); n != nil {
		p.TopLogprobs = *n
	}
	p.Logprobs = g["responseLogprobs"] == true
	stops, _ := g["stopSequences"].([]any)
	for _, s := range stops {
		p.Stop = append(p.Stop, str(s))
	}
	if g["responseMimeType"] != nil {
		p.Format = &chat.Format{Schema: raw(t, g["responseJsonSchema"])}
	}
	if c, ok := g["thinkingConfig"].(object); ok {
		p.Reasoning = &chat.Reasoning{Effort: str(c["thinkingLevel"]), Summary: "omitted"}
		if c["includeThoughts"] == true {
			p.Reasoning.Summary = "auto"
		}
		if n := integer(c["thinkingBudget"]); n != nil {
			p.Reasoning.Budget, p.Reasoning.Off, p.Reasoning.Adaptive = max(*n, 0), *n == 0, *n < 0
		}
	}
}

func conversation(t *testing.T, p *chat.Prompt, r object) {
	calls, results := 0, 0
	id := func(v any, n *int) string {
		*n++
		if s := str(v); s != "" {
			return s
		}
		return fmt.Sprint(idPrefix, *n) // results answer calls in their order
	}
	for _, c := range list(r["contents"]) {
		m := chat.Message{Role: chat.User}
		if c["role"] == "model" {
			m.Role = chat.Assistant
		}
		for _, one := range list(c["parts"]) {
			part := chat.Part{Kind: chat.PartText, Text: str(one["text"]), Signature: str(one["thoughtSignature"])}
			if one["thought"] == true {
				part = chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Text: part.Text, Signature: part.Signature, Format: chat.FormatGemini}}
			}
			if d, ok := one["inlineData"].(object); ok {
				part = chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: str(d["mimeType"]), Base64: str(d["data"])}}
			}
			if d, ok := one["fileData"].(object); ok {
				part = chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: str(d["mimeType"]), URL: str(d["fileUri"])}}
			}
			if f, ok := one["functionCall"].(object); ok {
				part = chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{
					ID: id(f["id"], &calls), Name: str(f["name"]), Arguments: string(raw(t, f["args"])), Signature: str(one["thoughtSignature"]),
				}}
			}
			if f, ok := one["functionResponse"].(object); ok {
				// What a tool answered is text to a client: the object itself, or what the gateway itself would wrap.
				text := string(raw(t, f["response"]))
				if o, ok := f["response"].(object); ok && len(o) == 1 && o["result"] != nil {
					text = str(o["result"])
				}
				part = chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: id(f["id"], &results), Name: str(f["name"]), Parts: []chat.Part{{Kind: chat.PartText, Text: text}}}}
			}
			m.Parts = append(m.Parts, part)
		}
		p.Messages = append(p.Messages, m)
	}
}
