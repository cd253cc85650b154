package openai

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// call is one of an earlier answer's calls.
type call struct {
	part chat.Part
	// client is its id as the client has it, without what it carried.
	client   string
	function bool
	carried  carried
}

// callFields is a tool call as clients send it back.
type callFields struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function *struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
	Custom *struct {
		Name  string `json:"name"`
		Input string `json:"input"`
	} `json:"custom"`
	// Extra is Google's, Provider LiteLLM's way to keep the signature of a call.
	Extra struct {
		Google struct {
			Signature string `json:"thought_signature"`
		} `json:"google"`
	} `json:"extra_content"`
	Provider struct {
		Signature string `json:"thought_signature"`
	} `json:"provider_specific_fields"`
}

// calls reads the tool calls of an earlier answer, or its call of a function.
func (d *decoder) calls(param string, f messageFields) ([]call, error) {
	if f.toolCalls == nil {
		return d.functionCalls(param, f)
	}
	param += ".tool_calls"
	if f.toolCalls[0] != '[' {
		return nil, wrongType(param, "an array", f.toolCalls)
	}
	var out []call
	seen := map[string]bool{}
	for raw := range jsonscan.Elements(f.toolCalls) {
		here := at(param, len(out))
		c, err := d.call(here, raw)
		if err != nil {
			return nil, err
		}
		if seen[c.client] {
			return nil, refuse(here+".id", "invalid_value", "Invalid '%s.id': another call of the message has the id '%s'.", here, clip(c.client))
		}
		seen[c.client] = true
		out = append(out, c)
	}
	return out, nil
}

func (d *decoder) call(param string, raw []byte) (call, error) {
	var f callFields
	if err := object(param, raw, &f); err != nil {
		return call{}, err
	}
	if f.ID == "" {
		return call{}, refuse(param+".id", "missing_required_parameter", "Missing required parameter: '%s.id'.", param)
	}
	out := call{part: chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{}}}
	c := out.part.Call
	switch {
	case f.Custom != nil && f.Type != "function":
		c.Name, c.Arguments, c.Custom = f.Custom.Name, f.Custom.Input, true
	case f.Function != nil:
		text, err := argumentsOf(param+".function.arguments", f.Function.Arguments)
		if err != nil {
			return call{}, err
		}
		c.Name, c.Arguments = f.Function.Name, text
	}
	if c.Name == "" {
		return call{}, refuse(param+".function.name", "missing_required_parameter", "Missing required parameter: '%s.function.name'.", param)
	}
	out.client, out.carried, _ = uncarry(f.ID)
	c.ID = d.turns.unique(out.client)
	for _, signature := range []string{f.Extra.Google.Signature, f.Provider.Signature, out.carried.Signature} {
		if c.Signature == "" {
			c.Signature = signature
		}
	}
	return out, nil
}

// functionCalls reads function_call, which has no id: it gets one.
func (d *decoder) functionCalls(param string, f messageFields) ([]call, error) {
	if f.functionCall == nil {
		return nil, nil
	}
	param += ".function_call"
	var o struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := object(param, f.functionCall, &o); err != nil {
		return nil, err
	}
	if o.Name == "" {
		return nil, refuse(param+".name", "missing_required_parameter", "Missing required parameter: '%s.name'.", param)
	}
	text, err := argumentsOf(param+".arguments", o.Arguments)
	if err != nil {
		return nil, err
	}
	d.turns.functions++
	id := d.turns.unique("call_function_" + strconv.Itoa(d.turns.functions))
	c := &chat.ToolCall{ID: id, Name: o.Name, Arguments: text}
	return []call{{part: chat.Part{Kind: chat.PartCall, Call: c}, client: id, function: true}}, nil
}

// argumentsOf reads arguments, which are the text of a JSON object: in a string, as OpenAI has them, or as they are.
func argumentsOf(param string, raw []byte) (string, error) {
	if jsonscan.IsNull(raw) {
		return "{}", nil
	}
	text := string(raw)
	if s, ok := jsonscan.String(raw); ok {
		text = s
	}
	if s := strings.TrimSpace(text); s == "" || s == "null" {
		return "{}", nil
	}
	if _, err := jsonscan.Scan([]byte(text)); err != nil {
		return "", refuse(param, "invalid_value", "Invalid '%s': expected the text of a JSON object: %s.", param, err.Error())
	}
	return text, nil
}
