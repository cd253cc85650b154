package wire

import (
	"encoding/json"
	"strings"
)

// Asked is what a request says, in no protocol's words.
type Asked struct {
	System string
	Turns  []Turn
	Tools  []AskedTool
	// Choice is auto, none, required or a tool's name; empty: not said.
	Choice      string
	Max         json.Number
	Stop        []string
	Temperature json.Number
	// Schema of the answer, as canonical JSON.
	Schema string
	// Thinking is off, adaptive, "budget N" or "level X"; empty: not said.
	Thinking string
	// Foreign is what no other protocol has a word for; such a request cannot be said in another.
	Foreign string
}

// Turn is what one side says at a time.
type Turn struct {
	// User says that it is the user's; else it is the model's.
	User  bool
	Parts []AskedPart
}

// AskedPart is a text, an image, a document, a thought, a call or a result. Text is its text, its address or its bytes in
// base64, its arguments or what the tool said.
type AskedPart struct{ Kind, Type, Text, Opaque, ID, Name, Cache string }

// AskedTool is a tool that the client runs; Schema is canonical JSON.
type AskedTool struct{ Name, Description, Schema, Cache string }

func (a *Asked) turn(user bool, parts ...AskedPart) {
	if len(parts) == 0 {
		return
	}
	if n := len(a.Turns); n > 0 && a.Turns[n-1].User == user {
		a.Turns[n-1].Parts = append(a.Turns[n-1].Parts, parts...)
		return
	}
	a.Turns = append(a.Turns, Turn{user, parts})
}

func (a *Asked) system(text string) {
	if a.System != "" {
		a.System += "\n"
	}
	a.System += text
}

func schemaOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	return canonical(string(raw))
}

// cacheMark is Anthropic's cache_control.
type cacheMark struct {
	Control *struct{ TTL string } `json:"cache_control"`
}

func (c cacheMark) ttl() string {
	switch {
	case c.Control == nil:
		return ""
	case c.Control.TTL == "":
		return "5m"
	}
	return c.Control.TTL
}

type askedBlock struct {
	Type, Text, Thinking, Signature, Data, ID, Name string
	Input, Content                                  json.RawMessage
	Use                                             string `json:"tool_use_id"`
	Citations                                       json.RawMessage
	Failed                                          bool `json:"is_error"`
	Source                                          struct {
		Type, Data, URL string
		Media           string `json:"media_type"`
	}
	cacheMark
}

// AskedMessages reads a request of Anthropic's Messages.
func AskedMessages(body []byte) (Asked, error) {
	var a Asked
	var r struct {
		System   json.RawMessage
		Messages []struct {
			Role    string
			Content json.RawMessage
		}
		Tools []struct {
			Type, Name, Description string
			Schema                  json.RawMessage `json:"input_schema"`
			cacheMark
		}
		Choice *struct{ Type, Name string } `json:"tool_choice"`
		Max    json.Number                  `json:"max_tokens"`
		Stop   []string                     `json:"stop_sequences"`
		Temp   json.Number                  `json:"temperature"`
		Output struct {
			Format struct{ Schema json.RawMessage }
		} `json:"output_config"`
		Think *struct {
			Type   string
			Budget json.Number `json:"budget_tokens"`
		} `json:"thinking"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return a, err
	}
	for _, b := range askedBlocks(r.System) {
		a.system(b.Text)
	}
	for _, m := range r.Messages {
		for _, b := range askedBlocks(m.Content) {
			if m.Role == "system" {
				a.Foreign = "a system message in between"
			}
			a.turn(m.Role == "user", b.part(&a))
		}
	}
	for _, t := range r.Tools {
		if t.Type != "" && t.Type != "custom" {
			a.Foreign = "a tool of type " + t.Type
		}
		a.Tools = append(a.Tools, AskedTool{t.Name, t.Description, schemaOf(t.Schema), t.ttl()})
	}
	if r.Choice != nil {
		a.Choice = map[string]string{"auto": "auto", "none": "none", "any": "required", "tool": r.Choice.Name}[r.Choice.Type]
	}
	a.Max, a.Stop, a.Temperature, a.Schema = r.Max, r.Stop, r.Temp, schemaOf(r.Output.Format.Schema)
	if r.Think != nil {
		a.Thinking = map[string]string{"disabled": "off", "adaptive": "adaptive", "enabled": "budget " + r.Think.Budget.String()}[r.Think.Type]
	}
	return a, nil
}

// askedBlocks are those of a content, which may be a text alone.
func askedBlocks(raw json.RawMessage) []askedBlock {
	var text string
	var out []askedBlock
	if json.Unmarshal(raw, &text) == nil && text != "" {
		return []askedBlock{{Type: "text", Text: text}}
	}
	_ = json.Unmarshal(raw, &out) // nothing is no block
	return out
}

func (b askedBlock) part(a *Asked) AskedPart {
	p := AskedPart{Kind: b.Type, Text: b.Text, Cache: b.ttl()}
	switch b.Type {
	case "text":
	case "image", "document":
		p.Type, p.Text = b.Source.Media, b.Source.Data+b.Source.URL
		if b.Citations != nil || b.Source.Type == "file" || b.Source.Type == "text" {
			a.Foreign = "a document with citations or by its id"
		}
	case "thinking":
		p.Kind, p.Text, p.Opaque = "thought", b.Thinking, b.Signature
	case "redacted_thinking":
		p.Kind, p.Opaque = "thought", b.Data
	case "tool_use":
		p.Kind, p.ID, p.Name, p.Text = "call", b.ID, b.Name, canonical(string(b.Input))
	case "tool_result":
		p.Kind, p.ID = "result", b.Use
		for _, inner := range askedBlocks(b.Content) {
			if inner.Type != "text" {
				a.Foreign = "a result with " + inner.Type
			}
			p.Text += inner.Text
		}
		if b.Failed {
			a.Foreign = "a result that failed" // OpenAI's protocols have no word for it
		}
	default:
		a.Foreign = "a block " + b.Type
	}
	return p
}

// geminiAskedPart is a part of a content.
type geminiAskedPart struct {
	Text      *string
	Thought   bool
	Signature string                           `json:"thoughtSignature"`
	Inline    *struct{ MimeType, Data string } `json:"inlineData"`
	File      *struct {
		Type string `json:"mimeType"`
		URI  string `json:"fileUri"`
	} `json:"fileData"`
	Call *struct {
		ID, Name string
		Args     json.RawMessage
	} `json:"functionCall"`
	Response *struct {
		ID, Name string
		Response json.RawMessage
		Parts    []json.RawMessage
	} `json:"functionResponse"`
}

// geminiAskedParts are several, or one that is no list: Google takes that, too.
type geminiAskedParts []geminiAskedPart

// UnmarshalJSON implements json.Unmarshaler.
func (l *geminiAskedParts) UnmarshalJSON(b []byte) error {
	var one geminiAskedPart
	if err := json.Unmarshal(b, &one); err == nil {
		*l = geminiAskedParts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]geminiAskedPart)(l))
}

// AskedGemini reads a request of generateContent. Names may be in either of Google's spellings.
func AskedGemini(body []byte) (Asked, error) {
	var a Asked
	var r struct {
		System   struct{ Parts geminiAskedParts } `json:"systemInstruction"`
		Contents []struct {
			Role  string
			Parts geminiAskedParts
		}
		Tools []struct {
			Functions []struct {
				Name, Description string
				Parameters        json.RawMessage
				JSONSchema        json.RawMessage `json:"parametersJsonSchema"`
			} `json:"functionDeclarations"`
			Search, URLs, Code json.RawMessage
		}
		Config struct {
			Calling struct {
				Mode    string
				Allowed []string `json:"allowedFunctionNames"`
			} `json:"functionCallingConfig"`
		} `json:"toolConfig"`
		Generation struct {
			Max        json.Number     `json:"maxOutputTokens"`
			Stop       []string        `json:"stopSequences"`
			Temp       json.Number     `json:"temperature"`
			Schema     json.RawMessage `json:"responseSchema"`
			JSONSchema json.RawMessage `json:"responseJsonSchema"`
			Thinking   *struct {
				Budget *json.Number `json:"thinkingBudget"`
				Level  string       `json:"thinkingLevel"`
			} `json:"thinkingConfig"`
		} `json:"generationConfig"`
		Cached json.RawMessage `json:"cachedContent"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return a, err
	}
	for _, word := range []string{"url_context", "urlContext", "googleSearch", "google_search", "codeExecution", "cachedContent", "function_call", "include_thoughts"} {
		if strings.Contains(string(body), `"`+word+`"`) {
			a.Foreign = word
		}
	}
	for _, p := range r.System.Parts {
		if p.Text != nil {
			a.system(*p.Text)
		}
	}
	for _, c := range r.Contents {
		for _, p := range c.Parts {
			out := AskedPart{Opaque: p.Signature}
			switch {
			case p.Call != nil:
				out.Kind, out.Name, out.Text = "call", p.Call.Name, canonical(string(p.Call.Args))
			case p.Response != nil:
				out.Kind, out.Name, out.Text = "result", p.Response.Name, canonical(string(p.Response.Response))
			case p.Inline != nil:
				// Google takes the alphabet of URLs, too.
				out.Kind, out.Type, out.Text = "image", p.Inline.MimeType, strings.NewReplacer("-", "+", "_", "/").Replace(p.Inline.Data)
			case p.File != nil:
				out.Kind, out.Type, out.Text = "image", p.File.Type, p.File.URI
			case p.Text != nil:
				out.Kind, out.Text = "text", *p.Text
				if p.Thought {
					a.Foreign = "a thought"
				}
			}
			a.turn(c.Role != "model", out)
		}
	}
	for _, t := range r.Tools {
		for _, f := range t.Functions {
			schema := f.JSONSchema
			if schema == nil {
				schema = f.Parameters
			}
			a.Tools = append(a.Tools, AskedTool{Name: f.Name, Description: f.Description, Schema: strings.ToLower(schemaOf(schema))})
		}
	}
	a.Choice = map[string]string{"AUTO": "auto", "NONE": "none", "ANY": "required"}[r.Config.Calling.Mode]
	if len(r.Config.Calling.Allowed) == 1 {
		a.Choice = r.Config.Calling.Allowed[0]
	}
	g := r.Generation
	a.Max, a.Stop, a.Temperature = g.Max, g.Stop, g.Temp
	if g.JSONSchema == nil {
		g.JSONSchema = g.Schema
	}
	a.Schema = strings.ToLower(schemaOf(g.JSONSchema))
	if g.Thinking != nil && g.Thinking.Budget != nil {
		a.Thinking = "budget " + g.Thinking.Budget.String()
	} else if g.Thinking != nil && g.Thinking.Level != "" {
		a.Thinking = "level " + g.Thinking.Level
	}
	return a, nil
}
