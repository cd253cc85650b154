package openai

import (
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// toolChoice is how the client chose.
type toolChoice struct {
	// param is the field that says so; empty: none does.
	param string
	chat.ToolChoice
	// search says that the web search is chosen; mayRefuseSearch that it is one of the tools, so that none refuses it too.
	search, mayRefuseSearch bool
}

// choiceFields is an object of tool_choice.
type choiceFields struct {
	Type     string
	Name     string
	Function *named
	Custom   *named
	Allowed  *allowedFields `json:"allowed_tools"`
	allowedFields
}

type named struct{ Name string }

type allowedFields struct {
	Mode  string
	Tools []struct {
		Type     string
		Name     string
		Function *named
		Custom   *named
	}
}

// toolChoice reads "auto", "none", "required" or an object.
func (d *decoder) toolChoice(raw []byte) error {
	c := &d.choice
	c.param = "tool_choice"
	if word, ok := jsonscan.String(raw); ok {
		return c.word(word)
	}
	var f choiceFields
	if err := object(c.param, raw, &f); err != nil {
		return err
	}
	switch {
	case isSearchTool(f.Type):
		c.search = true
	case f.Type == "function" || f.Type == "custom" || f.Type == "tool":
		c.Mode, c.Name = chat.ChooseTool, nameIn(f.Name, f.Function, f.Custom)
	case f.Type == "allowed_tools":
		if f.Allowed == nil {
			f.Allowed = &f.allowedFields
		}
		return c.allow(f.Allowed)
	default:
		return c.word(f.Type)
	}
	return nil
}

func (c *toolChoice) word(word string) error {
	switch word {
	case "auto":
		c.Mode = chat.ChooseAuto
	case "none":
		c.Mode = chat.ChooseNone
	case "required", "any":
		c.Mode = chat.ChooseRequired
	default:
		return refuse(c.param, "invalid_value", "Invalid value: '%s'. Supported values of '%s' are: 'none', 'auto', and 'required'.", clip(word), c.param)
	}
	return nil
}

// allow reads {mode, tools}: the model may choose among these alone.
func (c *toolChoice) allow(f *allowedFields) error {
	if err := c.word(f.Mode); err != nil {
		return err
	}
	c.Allowed = []string{}
	for _, t := range f.Tools {
		if isSearchTool(t.Type) {
			c.search = true
			continue
		}
		c.Allowed = append(c.Allowed, nameIn(t.Name, t.Function, t.Custom))
	}
	return nil
}

func nameIn(name string, places ...*named) string {
	for _, p := range places {
		if p != nil {
			name = first(p.Name, name)
		}
	}
	return name
}

// functionCall is the older form: "none", "auto" or {"name"}.
func (d *decoder) functionCall(raw []byte) error {
	c := &d.choice
	if c.param != "" {
		return nil
	}
	c.param = "function_call"
	if word, ok := jsonscan.String(raw); ok {
		return c.word(word)
	}
	var f named
	if err := object(c.param, raw, &f); err != nil {
		return err
	}
	c.Mode, c.Name = chat.ChooseTool, f.Name
	return nil
}

// choose judges the choice, now that all tools are known.
func (d *decoder) choose() error {
	c := &d.choice
	if c.search {
		if d.prompt.Search == nil {
			return refuse(c.param, "invalid_value", "Tool choice 'web_search' not found in 'tools' parameter.")
		}
		// Among allowed tools it may be used; alone, or where something must be, it must.
		d.prompt.Search.Forced = c.Allowed == nil || c.Mode == chat.ChooseRequired && len(c.Allowed) == 0
	}
	if c.Mode == chat.ChooseNone && c.mayRefuseSearch {
		d.prompt.Search = nil
	}
	if len(d.prompt.Tools) == 0 {
		return d.chooseNothing()
	}
	for _, name := range append([]string{c.Name}, c.Allowed...) {
		known := slices.ContainsFunc(d.prompt.Tools, func(t chat.Tool) bool { return t.Name == name })
		if !known && (name != "" || c.Mode == chat.ChooseTool) {
			return refuse(c.param, "invalid_value", "Tool choice '%s' not found in 'tools' parameter.", clip(name))
		}
	}
	d.prompt.ToolChoice = c.ToolChoice
	return nil
}

// chooseNothing judges a choice where no tool runs at the client.
func (d *decoder) chooseNothing() error {
	c := &d.choice
	switch {
	case d.prompt.Search != nil && c.Mode == chat.ChooseRequired:
		d.prompt.Search.Forced = true
	case c.Mode == chat.ChooseRequired || c.Mode == chat.ChooseTool:
		return refuse(c.param, "invalid_value", "'%s' is only allowed when 'tools' are specified.", c.param)
	}
	return nil
}
