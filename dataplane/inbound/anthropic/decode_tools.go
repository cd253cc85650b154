package anthropic

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

func (d *decoder) tools(raw []byte) error {
	i := 0
	for t := range jsonscan.Elements(raw) {
		if err := d.tool(under("tools", i), t); err != nil {
			return err
		}
		i++
	}
	return nil
}

// tool reads one tool by its type. The tools that Anthropic defines are known to its models alone.
func (d *decoder) tool(place string, raw []byte) error {
	m, err := members(place, raw)
	if err != nil {
		return err
	}
	kind, err := optional(place+".type", m["type"])
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(kind, searchTools):
		return d.search(place, m)
	case strings.HasPrefix(kind, toolSearch):
		// Every tool is given at once, so that none has to be found.
		d.other("tools."+kind, raw)
		return nil
	case kind != "" && kind != "custom":
		return unsupported("tools", "'%s' with the type '%s': the model that serves this request does not know it", place, clip(kind))
	}
	return d.custom(place, m)
}

func (d *decoder) custom(place string, m map[string][]byte) (err error) {
	var t chat.Tool
	if t.Name, err = text(place+".name", m["name"]); err != nil {
		return err
	}
	if t.Description, err = optional(place+".description", m["description"]); err != nil {
		return err
	}
	if t.Strict, err = flag(place+".strict", m["strict"]); err != nil {
		return err
	}
	if t.Cache, err = cacheTime(place+".cache_control", m["cache_control"]); err != nil {
		return err
	}
	if s := m["input_schema"]; !jsonscan.IsNull(s) {
		if s[0] != '{' {
			return invalid(place+".input_schema", "Input should be an object")
		}
		t.Schema = json.RawMessage(s)
	}
	if e := m["input_examples"]; !jsonscan.IsNull(e) {
		d.other("tools.input_examples", e)
	}
	d.prompt.Tools = append(d.prompt.Tools, t)
	return nil
}

// search reads a web search tool. Several are one.
func (d *decoder) search(place string, m map[string][]byte) (err error) {
	s := &chat.Search{}
	if s.MaxUses, err = integer(place+".max_uses", m["max_uses"], 1); err != nil {
		return err
	}
	if s.AllowedDomains, err = texts(place+".allowed_domains", m["allowed_domains"]); err != nil {
		return err
	}
	if s.BlockedDomains, err = texts(place+".blocked_domains", m["blocked_domains"]); err != nil {
		return err
	}
	if len(s.AllowedDomains) > 0 && len(s.BlockedDomains) > 0 {
		return invalid(place, "Only one of allowed_domains and blocked_domains can be given")
	}
	if l := m["user_location"]; !jsonscan.IsNull(l) {
		if l[0] != '{' {
			return invalid(place+".user_location", "Input should be an object")
		}
		s.Location = json.RawMessage(l)
	}
	d.prompt.Search = s
	return nil
}

// searchName is the name by which tool_choice forces a web search.
const searchName = "web_search"

// toolChoice is {type: auto|any|tool|none, name, disable_parallel_tool_use}.
func (d *decoder) toolChoice(raw []byte) error {
	m, err := members("tool_choice", raw)
	if err != nil {
		return err
	}
	kind, err := text("tool_choice.type", m["type"])
	if err != nil {
		return err
	}
	serial, err := flag("tool_choice.disable_parallel_tool_use", m["disable_parallel_tool_use"])
	if err != nil {
		return err
	}
	if serial != nil {
		parallel := !*serial
		d.prompt.ParallelTools = &parallel
	}
	switch kind {
	case "auto":
		d.prompt.ToolChoice.Mode = chat.ChooseAuto
	case "any":
		d.prompt.ToolChoice.Mode = chat.ChooseRequired
	case "none":
		d.prompt.ToolChoice.Mode = chat.ChooseNone
	case "tool":
		return d.chosen(m["name"])
	default:
		return invalid("tool_choice.type", "'%s' is not one of auto, any, tool, none", clip(kind))
	}
	return nil
}

// chosen reads the one tool that must be called. The web search may be it.
func (d *decoder) chosen(raw []byte) error {
	name, err := text("tool_choice.name", raw)
	if err != nil {
		return err
	}
	for i := range d.prompt.Tools {
		if d.prompt.Tools[i].Name == name {
			d.prompt.ToolChoice = chat.ToolChoice{Mode: chat.ChooseTool, Name: name}
			return nil
		}
	}
	if name == searchName && d.prompt.Search != nil {
		d.prompt.Search.Forced = true
		return nil
	}
	return invalid("tool_choice", "Tool '%s' not found in provided tools", clip(name))
}
