package mockprovider

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// geminiFields are what a request may have.
const geminiFields = "contents systemInstruction tools toolConfig safetySettings generationConfig cachedContent labels store model"

// generationFields are what its generationConfig may have.
const generationFields = "stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount maxOutputTokens temperature topP topK " +
	"seed presencePenalty frequencyPenalty responseLogprobs logprobs thinkingConfig mediaResolution speechConfig imageConfig enableEnhancedCivicAnswers"

type geminiRequest struct {
	Contents []struct {
		Role  string       `json:"role"`
		Parts []geminiPart `json:"parts"`
	} `json:"contents"`
	Tools []struct {
		Functions []struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
			JSONSchema json.RawMessage `json:"parametersJsonSchema"`
		} `json:"functionDeclarations"`
	} `json:"tools"`
	ToolConfig struct {
		Calling struct {
			Mode    string   `json:"mode"`
			Allowed []string `json:"allowedFunctionNames"`
		} `json:"functionCallingConfig"`
	} `json:"toolConfig"`
	GenerationConfig json.RawMessage `json:"generationConfig"`
}

type geminiGeneration struct {
	Candidates int             `json:"candidateCount"`
	Mime       string          `json:"responseMimeType"`
	Schema     json.RawMessage `json:"responseSchema"`
	JSONSchema json.RawMessage `json:"responseJsonSchema"`
	Stops      []string        `json:"stopSequences"`
	Thinking   *struct {
		Budget  *int64 `json:"thinkingBudget"`
		Level   string `json:"thinkingLevel"`
		Include bool   `json:"includeThoughts"`
	} `json:"thinkingConfig"`
	Temperature *float64 `json:"temperature"`
}

type geminiPart struct {
	Text      string `json:"text"`
	Signature string `json:"thoughtSignature"`
	Call      *struct {
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"functionCall"`
	Response *struct {
		Name     string          `json:"name"`
		Response json.RawMessage `json:"response"`
	} `json:"functionResponse"`
}

// skipSignature is what Google lets those send who have lost a signature.
const skipSignature = "skip_thought_signature_validator"

func (d geminiDialect) read(r *http.Request, body []byte, in *request) *failure {
	if f := d.authenticate(r, in.Key); f != nil {
		return f
	}
	model, method, f := d.call(r)
	if f != nil {
		return f
	}
	in.Model, in.Stream, in.Usage = model, method == "streamGenerateContent", true
	if in.Stream && r.URL.Query().Get("alt") != "sse" {
		return refuse("the mock streams with alt=sse only")
	}
	var q geminiRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return refuse("Invalid JSON payload received. %v", err)
	}
	if name := unknown(body, geminiFields); name != "" {
		return refuse("Invalid JSON payload received. Unknown name %q: Cannot find field.", name)
	}
	if f := q.generation(in); f != nil {
		return f
	}
	q.tools(in)
	if f := q.check(in); f != nil {
		return f
	}
	in.Prompt = q.prompt()
	in.Results = slices.ContainsFunc(q.Contents[len(q.Contents)-1].Parts, func(p geminiPart) bool { return p.Response != nil })
	return nil
}

func (geminiDialect) authenticate(r *http.Request, key string) *failure {
	switch got := r.Header.Get("X-Goog-Api-Key"); {
	case got == "":
		return &failure{status: http.StatusForbidden, message: "Method doesn't allow unregistered callers (callers without established identity). " +
			"Please use API Key or other form of API consumer identity to call this API."}
	case key != "" && got != key:
		return &failure{status: http.StatusBadRequest, reason: "API_KEY_INVALID", message: "API key not valid. Please pass a valid API key."}
	}
	return nil
}

// generation reads the generationConfig.
func (q *geminiRequest) generation(in *request) *failure {
	if len(q.GenerationConfig) == 0 {
		return nil
	}
	if name := unknown(q.GenerationConfig, generationFields); name != "" {
		return refuse("Invalid JSON payload received. Unknown name %q at 'generation_config': Cannot find field.", name)
	}
	var g geminiGeneration
	if err := json.Unmarshal(q.GenerationConfig, &g); err != nil {
		return refuse("Invalid JSON payload received. %v", err)
	}
	if t := g.Thinking; t != nil {
		if t.Budget != nil && t.Level != "" {
			return refuse("You can only set only one of thinking budget and thinking level.")
		}
		in.Think, in.ThinkText = t.Budget == nil || *t.Budget != 0, t.Include
	}
	if g.Temperature != nil && (*g.Temperature < 0 || *g.Temperature > 2) {
		return refuse("Unable to submit request because it has a temperature value of %v but the supported range is from 0 (inclusive) to 2.0001 (exclusive). Update the value and try again.", *g.Temperature)
	}
	if len(g.Stops) > 5 {
		return refuse("Unable to submit request because it has %d stop sequences but at most 5 are supported.", len(g.Stops))
	}
	in.N, in.JSON = g.Candidates, g.Mime == "application/json"
	in.Schema = g.JSONSchema
	if in.Schema == nil {
		in.Schema = g.Schema
	}
	if in.Schema != nil && !in.JSON {
		return refuse("Response schema requires response mime type application/json.")
	}
	return nil
}

func (q *geminiRequest) tools(in *request) {
	for _, t := range q.Tools {
		for _, f := range t.Functions {
			s := f.JSONSchema
			if s == nil {
				s = f.Parameters
			}
			if s == nil {
				s = json.RawMessage("{}")
			}
			in.Tools = append(in.Tools, tool{Name: f.Name, Schema: s})
		}
	}
	switch c := q.ToolConfig.Calling; c.Mode {
	case "ANY":
		in.Force = append(c.Allowed, "*")[0]
	case "NONE":
		in.Force = forceNone
	}
}

// check checks the conversation: roles, an answer to each call, signatures in the current turn.
func (q *geminiRequest) check(in *request) *failure {
	if len(q.Contents) == 0 {
		return refuse("* GenerateContentRequest.contents: contents is not specified")
	}
	open, turn := 0, q.turn()
	for i, c := range q.Contents {
		if c.Role != "user" && c.Role != "model" && (c.Role != "" || len(q.Contents) > 1) {
			return refuse("Please use a valid role: user, model.")
		}
		calls, answers := 0, 0
		for j, p := range c.Parts {
			if p.Signature != "" && p.genuine() {
				in.Thoughts++
			}
			if f := p.check(); f != nil {
				return f
			}
			if p.Response != nil {
				answers++
			}
			if p.Call != nil {
				calls++
				if calls == 1 && p.Signature == "" && i >= turn && signing.MatchString(in.Model) {
					return refuse("Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. "+
						"Additional data, function call `default_api:%s` , position %d. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.", p.Call.Name, j+1)
				}
			}
		}
		if answers != open && c.Role == "user" {
			return refuse("Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.")
		}
		open = calls
	}
	if open > 0 {
		return refuse("Please ensure that function call turn is followed by a function response turn.")
	}
	return nil
}

// turn is where the current one begins: at the user's last words.
func (q *geminiRequest) turn() int {
	for i := len(q.Contents) - 1; i >= 0; i-- {
		for _, p := range q.Contents[i].Parts {
			if q.Contents[i].Role != "model" && p.Text != "" && p.Response == nil {
				return i
			}
		}
	}
	return 0
}

func (p geminiPart) check() *failure {
	switch {
	case p.Signature != "" && p.Signature != skipSignature && !p.genuine():
		return refuse("Corrupted thought signature.")
	case p.Call != nil && !isObject(p.Call.Args):
		return refuse("Invalid JSON payload received. Unknown value at 'args' (type.googleapis.com/google.protobuf.Struct)")
	case p.Response != nil && !isObject(p.Response.Response):
		return refuse("Invalid JSON payload received. Unknown value at 'response' (type.googleapis.com/google.protobuf.Struct)")
	}
	return nil
}

func isObject(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}

// genuine says whether the signature is the mock's and stands where it was given.
func (p geminiPart) genuine() bool {
	if p.Call != nil {
		return p.Signature == sign("call", p.Call.Name)
	}
	return p.Signature == sign("text", "")
}

// prompt is the text of the last content: its words, or the functions' results.
func (q *geminiRequest) prompt() string {
	var texts []string
	for _, p := range q.Contents[len(q.Contents)-1].Parts {
		switch {
		case p.Response != nil:
			texts = append(texts, resultText(p.Response.Response))
		case p.Text != "":
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, " ")
}

// resultText is what a result says: its only member if that is a text, else all of it.
func resultText(raw json.RawMessage) string {
	var members map[string]json.RawMessage
	var text string
	if json.Unmarshal(raw, &members) == nil && len(members) == 1 {
		for _, m := range members {
			if json.Unmarshal(m, &text) == nil {
				return text
			}
		}
	}
	return string(raw)
}
