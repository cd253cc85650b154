package mockprovider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// responsesFields are what a request may have.
const responsesFields = "model input instructions stream stream_options store include tools tool_choice parallel_tool_calls reasoning text temperature top_p " +
	"max_output_tokens max_tool_calls metadata previous_response_id prompt_cache_key prompt_cache_retention safety_identifier service_tier " +
	"top_logprobs truncation user background conversation prompt context_management"

type responsesRequest struct {
	Model     string          `json:"model"`
	Stream    bool            `json:"stream"`
	Input     json.RawMessage `json:"input"`
	Include   []string        `json:"include"`
	Reasoning *struct {
		Effort  string `json:"effort"`
		Summary string `json:"summary"`
	} `json:"reasoning"`
	Tools []struct {
		Type       string          `json:"type"`
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
	Text       struct {
		Format struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"text"`
	items []responsesItem
}

type responsesItem struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	ID        string          `json:"id"`
	CallID    string          `json:"call_id"`
	Content   json.RawMessage `json:"content"`
	Output    json.RawMessage `json:"output"`
	Encrypted string          `json:"encrypted_content"`
}

func (responsesDialect) read(r *http.Request, body []byte, in *request) *failure {
	if f := bearer(r, in.Key); f != nil {
		return f
	}
	var q responsesRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return refuse("%v", err)
	}
	if name := unknown(body, responsesFields); name != "" {
		return &failure{status: http.StatusBadRequest, code: "unknown_parameter", param: name, message: "Unknown parameter: '" + name + "'."}
	}
	var text string
	if json.Unmarshal(q.Input, &text) == nil {
		in.Prompt = text
	} else if err := json.Unmarshal(q.Input, &q.items); err != nil {
		return refuse("Invalid type for 'input': expected a string or a list of items. %v", err)
	} else {
		in.Prompt = q.prompt()
		in.Results = len(q.items) > 0 && strings.HasSuffix(q.items[len(q.items)-1].Type, "_call_output")
	}
	if f := q.check(in); f != nil {
		return f
	}
	in.Model, in.Stream, in.Usage = q.Model, q.Stream, true
	in.Think = q.Reasoning != nil && q.Reasoning.Effort != "none" && q.Reasoning.Effort != "minimal"
	in.ThinkText = in.Think && q.Reasoning.Summary != ""
	in.JSON = q.Text.Format.Type == "json_object"
	in.Encrypted = slices.Contains(q.Include, "reasoning.encrypted_content")
	in.Schema, in.Force = q.Text.Format.Schema, forced(q.ToolChoice)
	for _, t := range q.Tools {
		if t.Type == "function" || t.Type == "custom" {
			in.Tools = append(in.Tools, tool{Name: t.Name, Schema: t.Parameters, Custom: t.Type == "custom"})
		}
	}
	return nil
}

// check wants each call's result and each result's call, and each thought with what it led to.
func (q *responsesRequest) check(in *request) *failure {
	calls, outputs := map[string]bool{}, map[string]bool{}
	for i, it := range q.items {
		switch it.Type {
		case "function_call", "custom_tool_call":
			calls[it.CallID] = true
		case "function_call_output", "custom_tool_call_output":
			outputs[it.CallID] = true
			if !calls[it.CallID] {
				return &failure{status: http.StatusBadRequest, param: "input", message: "No tool call found for function call output with call_id " + it.CallID + "."}
			}
		case "item_reference":
			// The mock has stored nothing, but a thought's id is its own.
			if !strings.HasPrefix(it.ID, thoughtPrefix) {
				return &failure{status: http.StatusNotFound, param: "input", message: "Item with id '" + it.ID + "' not found."}
			}
			in.Thoughts++
		case "reasoning":
			if i+1 == len(q.items) || q.items[i+1].Role == "user" {
				return refuse("Item '%s' of type 'reasoning' was provided without its required following item.", it.ID)
			}
			if it.Encrypted != "" && it.Encrypted != sign("reasoning", "") {
				return &failure{status: http.StatusBadRequest, code: "invalid_encrypted_content", message: "The encrypted content for item " + it.ID +
					" could not be verified. Reason: Encrypted content could not be decrypted or parsed."}
			}
			if it.Encrypted != "" {
				in.Thoughts++
			}
		}
	}
	for id := range calls {
		if !outputs[id] {
			return &failure{status: http.StatusBadRequest, param: "input", message: "No tool output found for function call " + id + "."}
		}
	}
	return nil
}

// prompt is the text of the last message, or of all results at the end.
func (q *responsesRequest) prompt() string {
	var texts []string
	for i := len(q.items) - 1; i >= 0; i-- {
		it := q.items[i]
		if strings.HasSuffix(it.Type, "_call_output") {
			texts = append([]string{textOf(it.Output)}, texts...)
			continue
		}
		if len(texts) == 0 {
			texts = []string{textOf(it.Content)}
		}
		break
	}
	return strings.Join(texts, " ")
}
