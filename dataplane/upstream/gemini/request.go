package gemini

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
)

// The request, as GenerateContentRequest has it.
type (
	request struct {
		Contents          []content         `json:"contents"`
		SystemInstruction *content          `json:"systemInstruction,omitempty"`
		Tools             []tool            `json:"tools,omitempty"`
		ToolConfig        *toolConfig       `json:"toolConfig,omitempty"`
		GenerationConfig  *generationConfig `json:"generationConfig,omitempty"`
	}
	content struct {
		Role  string `json:"role,omitempty"`
		Parts []part `json:"parts"`
	}
	part struct {
		Text             *string           `json:"text,omitempty"`
		Thought          bool              `json:"thought,omitempty"`
		InlineData       *blob             `json:"inlineData,omitempty"`
		FileData         *fileData         `json:"fileData,omitempty"`
		FunctionCall     *functionCall     `json:"functionCall,omitempty"`
		FunctionResponse *functionResponse `json:"functionResponse,omitempty"`
		ThoughtSignature string            `json:"thoughtSignature,omitempty"`

		// callID is the client's id of a call or of a result.
		callID string
	}
	blob struct {
		MimeType string `json:"mimeType"`
		Data     string `json:"data"`
	}
	fileData struct {
		MimeType string `json:"mimeType,omitempty"`
		FileURI  string `json:"fileUri"`
	}
	functionCall struct {
		ID   string          `json:"id,omitempty"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	}
	functionResponse struct {
		ID       string          `json:"id,omitempty"`
		Name     string          `json:"name"`
		Response json.RawMessage `json:"response"`
		Parts    []part          `json:"parts,omitempty"`
	}
)

// plan is what reading the answer needs to know of the request.
type plan struct {
	// jsonTool is the function whose arguments are the answer; empty: none.
	jsonTool string
	// custom are the functions that stand for tools that take free text.
	custom map[string]bool
	// perQuery says that each search query is paid for.
	perQuery bool
}

// built is a request ready to be sent.
type built struct {
	body []byte
	plan plan
	// dropped is all that was left out; unsupported the part of it that a strict call refuses.
	dropped, unsupported []string
}

// builder builds one request.
type builder struct {
	call   chat.Call
	prompt *chat.Prompt
	facts  facts
	drops  drops
	plan   plan
	// moot says that the answer's format does not matter, because a call is forced.
	moot bool
	out  request
}

// build says a prompt in Gemini's words.
func build(c chat.Call, p *chat.Prompt) (*built, error) {
	b := &builder{call: c, prompt: p, facts: factsOf(c.Model), drops: drops{protocol: c.Request.Protocol}}
	b.plan.perQuery = b.facts.perQuery
	if err := b.tools(); err != nil {
		return nil, err
	}
	if err := b.contents(); err != nil {
		return nil, err
	}
	b.generation()
	b.without()
	body, err := encode(b.out)
	if err != nil {
		return nil, invalid("", "The request cannot be said in the words of the model's provider.", err)
	}
	return &built{body: body, plan: b.plan, dropped: b.drops.all(), unsupported: b.drops.parameters}, nil
}

// encode writes JSON with <, > and & as they are.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// without names what no Gemini model has a parameter for. Cache breakpoints are none of it: prompts are cached without being
// asked.
func (b *builder) without() {
	p := b.prompt
	if len(p.LogitBias) > 0 {
		b.drops.parameter(paramLogitBias)
	}
	if p.User != "" {
		b.drops.parameter(paramUser)
	}
	if p.Verbosity != "" {
		b.drops.parameter(paramVerbosity)
	}
	if p.ParallelTools != nil && !*p.ParallelTools && len(p.Tools) > 0 {
		b.drops.parameter(paramParallel)
	}
	for _, other := range p.Others {
		if !slices.Contains(idle[other.Name], string(other.Value)) {
			b.drops.parameter(other.Name)
		}
	}
}

// idle has the values of parameters that ask for what happens anyway.
var idle = map[string][]string{
	"store": {"false"}, "background": {"false"}, "service_tier": {`"auto"`, `"default"`, `"standard"`}, "truncation": {`"disabled"`},
}
