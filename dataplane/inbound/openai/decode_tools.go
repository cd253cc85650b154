package openai

import (
	"encoding/json"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// toolFields is a tool: OpenAI's with its function, or one with the function's members in itself.
type toolFields struct {
	Function *functionFields `json:"function"`
	Custom   *struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Format      json.RawMessage `json:"format"`
	} `json:"custom"`
	functionFields
}

type functionFields struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	InputSchema json.RawMessage `json:"input_schema"`
	Strict      *bool           `json:"strict"`
	Cache       json.RawMessage `json:"cache_control"`
}

func (d *decoder) tools(raw []byte) error {
	i := 0
	for element := range jsonscan.Elements(raw) {
		read := d.oneTool
		if isSearchTool(toolType(element)) {
			read = d.searchTool
		}
		if err := read(at("tools", i), element); err != nil {
			return err
		}
		i++
	}
	return nil
}

func toolType(raw []byte) string {
	kind, _ := jsonscan.String(jsonscan.Field(raw, "type"))
	return kind
}

func (d *decoder) oneTool(param string, raw []byte) error {
	var f toolFields
	if err := object(param, raw, &f); err != nil {
		return err
	}
	if f.Custom != nil && toolType(raw) == "custom" {
		t := chat.Tool{Name: f.Custom.Name, Description: f.Custom.Description, Custom: true, Cache: breakpoint(f.Cache)}
		if !jsonscan.IsNull(f.Custom.Format) {
			t.Grammar = f.Custom.Format
		}
		return d.addTool(param+".custom", t)
	}
	fn := &f.functionFields
	if f.Function != nil {
		fn = f.Function
		param += ".function"
	}
	t, err := fn.tool(param)
	if err != nil {
		return err
	}
	t.Cache = first(breakpoint(f.Cache), t.Cache)
	return d.addTool(param, t)
}

func (f *functionFields) tool(param string) (chat.Tool, error) {
	t := chat.Tool{Name: f.Name, Description: f.Description, Strict: f.Strict, Cache: breakpoint(f.Cache)}
	member, schema := "parameters", f.Parameters
	if jsonscan.IsNull(schema) {
		member, schema = "input_schema", f.InputSchema
	}
	if jsonscan.IsNull(schema) {
		return t, nil
	}
	if schema[0] != '{' {
		return t, wrongType(param+"."+member, "an object", schema)
	}
	t.Schema = schema
	return t, nil
}

func (d *decoder) addTool(param string, t chat.Tool) error {
	if t.Name == "" {
		return refuse(param+".name", "missing_required_parameter", "Missing required parameter: '%s.name'.", param)
	}
	if slices.ContainsFunc(d.prompt.Tools, func(o chat.Tool) bool { return o.Name == t.Name }) {
		return refuse(param+".name", "invalid_value", "Invalid '%s.name': another tool has the name '%s'.", param, clip(t.Name))
	}
	d.prompt.Tools = append(d.prompt.Tools, t)
	return nil
}

// functions are the older form: one call an answer, because its answer has no place for more.
func (d *decoder) functions(raw []byte) error {
	if len(d.prompt.Tools) > 0 || d.prompt.Search != nil {
		return refuse("functions", "invalid_value", "Only one of 'tools' and 'functions' can be given.")
	}
	i := 0
	for element := range jsonscan.Elements(raw) {
		var f functionFields
		param := at("functions", i)
		if err := object(param, element, &f); err != nil {
			return err
		}
		t, err := f.tool(param)
		if err != nil {
			return err
		}
		if err := d.addTool(param, t); err != nil {
			return err
		}
		i++
	}
	if i > 0 {
		one := false
		d.prompt.ParallelTools = &one
	}
	return nil
}

func (d *decoder) parallel(raw []byte) error {
	on, ok := jsonscan.Bool(raw)
	if !ok {
		return wrongType("parallel_tool_calls", "a boolean", raw)
	}
	if d.prompt.ParallelTools == nil {
		d.prompt.ParallelTools = &on
	}
	return nil
}
