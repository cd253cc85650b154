package gemini

import (
	"encoding/json"
	"fmt"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

type (
	tool struct {
		GoogleSearch         *struct{}             `json:"googleSearch,omitempty"`
		FunctionDeclarations []functionDeclaration `json:"functionDeclarations,omitempty"`
	}
	functionDeclaration struct {
		Name                 string          `json:"name"`
		Description          string          `json:"description,omitempty"`
		ParametersJSONSchema json.RawMessage `json:"parametersJsonSchema,omitempty"`
	}
	toolConfig struct {
		FunctionCallingConfig *callingConfig `json:"functionCallingConfig,omitempty"`
		// IncludeServerSideToolInvocations must be set where googleSearch stands beside functions.
		IncludeServerSideToolInvocations bool `json:"includeServerSideToolInvocations,omitempty"`
	}
	callingConfig struct {
		Mode                 string   `json:"mode"`
		AllowedFunctionNames []string `json:"allowedFunctionNames,omitempty"`
	}
)

// Modes of function calling. validated is auto with arguments that follow the schema.
const (
	modeAuto      = "AUTO"
	modeNone      = "NONE"
	modeAny       = "ANY"
	modeValidated = "VALIDATED"
)

// customInput is the one parameter of a function that stands for a tool that takes free text.
const customInput = "input"

// customSchema is its schema.
const customSchema = `{"type":"object","properties":{"` + customInput + `":{"type":"string"}},"required":["` + customInput + `"]}`

// tools says the client's tools, the provider's search, and which must be used.
func (b *builder) tools() error {
	var functions []functionDeclaration
	strict := false
	for _, t := range b.prompt.Tools {
		if t.Name == "" {
			return invalid("tools", "A tool has no name.", nil)
		}
		functions = append(functions, b.function(t))
		strict = strict || t.Strict != nil && *t.Strict
	}
	config := b.calling(strict, len(functions) > 0)
	b.moot = forced(config)
	if b.needsJSONTool(config, len(functions) > 0) {
		declared, instead := b.jsonTool(config)
		functions, config = append(functions, declared), instead
	}
	search := b.searches(len(functions) > 0)
	if search {
		b.out.Tools = append(b.out.Tools, tool{GoogleSearch: &struct{}{}})
	}
	if len(functions) > 0 {
		b.out.Tools = append(b.out.Tools, tool{FunctionDeclarations: functions})
	}
	if both := search && len(functions) > 0; both || config != nil {
		b.out.ToolConfig = &toolConfig{FunctionCallingConfig: config, IncludeServerSideToolInvocations: both}
	}
	return nil
}

// function declares one tool.
func (b *builder) function(t chat.Tool) functionDeclaration {
	if !t.Custom {
		return functionDeclaration{Name: t.Name, Description: t.Description, ParametersJSONSchema: schema(t.Schema)}
	}
	if b.plan.custom == nil {
		b.plan.custom = map[string]bool{}
	}
	b.plan.custom[t.Name] = true
	d := functionDeclaration{Name: t.Name, Description: t.Description, ParametersJSONSchema: json.RawMessage(customSchema)}
	if definition := grammar(t.Grammar); definition != "" {
		// There is nothing that enforces it: the model is told.
		d.Description += "\n\nThe input follows this grammar:\n" + definition
		b.drops.parameter("tools.custom.format")
	}
	return d
}

// grammar finds the definition in OpenAI's format object; empty: free text.
func grammar(raw json.RawMessage) string {
	if _, err := jsonscan.Scan(raw); err != nil {
		return ""
	}
	for _, from := range [][]byte{raw, jsonscan.Field(raw, "grammar")} {
		if s, ok := jsonscan.String(jsonscan.Field(from, "definition")); ok {
			return s
		}
	}
	return ""
}

// calling says which functions must be called; nil: as the model likes.
func (b *builder) calling(strict, some bool) *callingConfig {
	if !some {
		return nil
	}
	choice := b.prompt.ToolChoice
	switch choice.Mode {
	case chat.ChooseNone:
		return &callingConfig{Mode: modeNone}
	case chat.ChooseTool:
		return &callingConfig{Mode: modeAny, AllowedFunctionNames: []string{choice.Name}}
	case chat.ChooseRequired:
		return &callingConfig{Mode: modeAny, AllowedFunctionNames: choice.Allowed}
	}
	switch {
	case choice.Allowed != nil:
		// Names may stand beside ANY and VALIDATED only.
		return &callingConfig{Mode: modeValidated, AllowedFunctionNames: choice.Allowed}
	case strict:
		return &callingConfig{Mode: modeValidated}
	case choice.Mode == chat.ChooseAuto:
		return &callingConfig{Mode: modeAuto}
	}
	return nil
}

// needsJSONTool says that the answer's format must be a function's: JSON mode beside functions is a 400 on the second
// generation ("Function calling with a response mime type: 'application/json' is unsupported").
func (b *builder) needsJSONTool(c *callingConfig, some bool) bool {
	return b.prompt.Format != nil && some && !forced(c) && !b.facts.mixed && !b.facts.noInstruction
}

// forced says that the answer will be a call: then its format does not matter, and the later models answer JSON mode with 400.
func forced(c *callingConfig) bool { return c != nil && c.Mode == modeAny }

// jsonTool declares a function whose arguments are the answer: that or one of the client's must be called.
func (b *builder) jsonTool(c *callingConfig) (functionDeclaration, *callingConfig) {
	taken := map[string]bool{}
	for _, t := range b.prompt.Tools {
		taken[t.Name] = true
	}
	name := "json"
	for i := 1; taken[name]; i++ {
		name = fmt.Sprintf("json_%d", i)
	}
	b.plan.jsonTool = name
	f := b.prompt.Format
	d := functionDeclaration{Name: name, Description: "Answer with this function: its arguments are the whole answer.", ParametersJSONSchema: schema(f.Schema)}
	if f.Description != "" {
		d.Description = f.Description
	}
	if d.ParametersJSONSchema == nil {
		d.ParametersJSONSchema = json.RawMessage(`{"type":"object"}`)
	}
	config := &callingConfig{Mode: modeAny}
	switch {
	case c != nil && c.Mode == modeNone:
		config.AllowedFunctionNames = []string{name}
	case c != nil && c.AllowedFunctionNames != nil:
		config.AllowedFunctionNames = append(append([]string{}, c.AllowedFunctionNames...), name)
	}
	return d, config
}

// searches says whether Google is searched, and names what of the client's wishes it has nothing for. The model decides
// when it searches: it cannot be forced. Beside functions or JSON mode the second generation answers with 400: those win.
func (b *builder) searches(functions bool) bool {
	s := b.prompt.Search
	if s == nil {
		return false
	}
	if b.prompt.ToolChoice.Mode == chat.ChooseNone && b.call.Request.Protocol != chat.Completions {
		return false
	}
	if !b.facts.search || !b.facts.mixed && (functions || b.prompt.Format != nil) {
		b.drops.parameter(paramSearch)
		return false
	}
	for _, wish := range []struct {
		name  string
		asked bool
	}{
		{"allowed_domains", len(s.AllowedDomains) > 0},
		{"blocked_domains", len(s.BlockedDomains) > 0},
		{"max_uses", s.MaxUses > 0 && !s.Assumed},
		{"search_context_size", s.ContextSize != ""},
		{"user_location", !jsonscan.IsNull(s.Location)},
	} {
		if wish.asked {
			b.drops.parameter(paramSearch, wish.name)
		}
	}
	return true
}
