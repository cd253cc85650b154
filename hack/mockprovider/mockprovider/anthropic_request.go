package mockprovider

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// anthropicFields are what a request may have.
const anthropicFields = "model messages max_tokens stream system tools tool_choice thinking temperature top_p top_k stop_sequences metadata " +
	"output_config service_tier container context_management mcp_servers inference_geo thread output_format cache_control"

type anthropicRequest struct {
	Model      string             `json:"model"`
	Stream     bool               `json:"stream"`
	MaxTokens  *int64             `json:"max_tokens"`
	Messages   []anthropicMessage `json:"messages"`
	Tools      []anthropicTool    `json:"tools"`
	ToolChoice struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"tool_choice"`
	Thinking struct {
		Type    string `json:"type"`
		Budget  int64  `json:"budget_tokens"`
		Display string `json:"display"`
	} `json:"thinking"`
	Temperature  *float64 `json:"temperature"`
	TopP         *float64 `json:"top_p"`
	TopK         *int64   `json:"top_k"`
	OutputConfig struct {
		Format struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"output_config"`
}

type anthropicTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	InputSchema json.RawMessage `json:"input_schema"`
}

type anthropicMessage struct {
	Role    string           `json:"role"`
	Content anthropicContent `json:"content"`
}

// anthropicContent is a string or blocks.
type anthropicContent []anthropicBlock

type anthropicBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature *string         `json:"signature"`
	Data      string          `json:"data"`
	ID        string          `json:"id"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
}

// UnmarshalJSON reads either form.
func (c *anthropicContent) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*c = anthropicContent{{Type: "text", Text: text}}
		return nil
	}
	return json.Unmarshal(b, (*[]anthropicBlock)(c))
}

// newClaude are the models that took leave of sampling parameters, thinking budgets and prefills.
var newClaude = regexp.MustCompile(`claude-(?:(?:opus|sonnet|haiku)-(?:[5-9]|4-[7-9])|fable)`)

func (d anthropicDialect) read(r *http.Request, body []byte, in *request) *failure {
	return d.readCounted(r, body, in, false)
}

// readCounted reads a message, or one whose tokens are only counted.
func (anthropicDialect) readCounted(r *http.Request, body []byte, in *request, count bool) *failure {
	key := r.Header.Get("X-Api-Key")
	if key == "" || in.Key != "" && key != in.Key {
		return &failure{status: http.StatusUnauthorized, message: "invalid x-api-key"}
	}
	if r.Header.Get("Anthropic-Version") == "" {
		return refuse("anthropic-version: header is required")
	}
	var q anthropicRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return refuse("%v", err)
	}
	if name := unknown(body, anthropicFields); name != "" {
		return refuse("%s: Extra inputs are not permitted", name)
	}
	if q.MaxTokens == nil && !count {
		return refuse("max_tokens: Field required")
	}
	for _, check := range []func() *failure{q.checkSampling, q.checkThinking, q.checkTools, func() *failure { return q.checkMessages(in) }} {
		if f := check(); f != nil {
			return f
		}
	}
	in.Model, in.Stream, in.Usage, in.Schema = q.Model, q.Stream, true, q.OutputConfig.Format.Schema
	in.Think = q.Thinking.Type == "enabled" || q.Thinking.Type == "adaptive"
	in.ThinkText = q.Thinking.Type == "enabled" || q.Thinking.Display == "summarized"
	for _, t := range q.Tools {
		if t.Type == "" || t.Type == "custom" {
			in.Tools = append(in.Tools, tool{Name: t.Name, Schema: t.InputSchema})
		}
	}
	in.Force = map[string]string{"any": "*", "tool": q.ToolChoice.Name, "none": forceNone}[q.ToolChoice.Type]
	last := q.Messages[len(q.Messages)-1]
	in.Prompt = last.prompt()
	in.Results = slices.ContainsFunc(last.Content, func(b anthropicBlock) bool { return b.Type == "tool_result" })
	return nil
}

func (q *anthropicRequest) checkSampling() *failure {
	if newClaude.MatchString(q.Model) {
		for name, set := range map[string]bool{"temperature": q.Temperature != nil, "top_p": q.TopP != nil, "top_k": q.TopK != nil} {
			if set {
				return refuse("`%s` is deprecated for this model.", name)
			}
		}
	}
	switch {
	case q.Temperature != nil && (*q.Temperature < 0 || *q.Temperature > 1):
		return refuse("temperature: range: 0..1")
	case q.Temperature != nil && q.TopP != nil:
		return refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
	}
	return nil
}

func (q *anthropicRequest) checkThinking() *failure {
	switch on := q.Thinking.Type == "enabled"; {
	case on && newClaude.MatchString(q.Model):
		return refuse("\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.")
	case on && q.Thinking.Budget < 1024:
		return refuse("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
	case on && q.MaxTokens != nil && q.Thinking.Budget >= *q.MaxTokens:
		return refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
	case on && q.Temperature != nil && *q.Temperature != 1:
		return refuse("`temperature` may only be set to 1 when thinking is enabled.")
	case on && (q.ToolChoice.Type == "any" || q.ToolChoice.Type == "tool"):
		return refuse("Thinking may not be enabled when tool_choice forces tool use.")
	}
	return nil
}

func (q *anthropicRequest) checkTools() *failure {
	for i, t := range q.Tools {
		var s struct {
			Type string `json:"type"`
		}
		if t.Type == "" || t.Type == "custom" {
			if json.Unmarshal(t.InputSchema, &s) != nil || s.Type != "object" {
				return refuse("tools.%d.custom.input_schema.type: Input should be 'object'", i)
			}
		}
	}
	f := q.OutputConfig.Format
	if f.Type == "json_schema" && !closed(f.Schema) {
		return refuse("output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false")
	}
	return nil
}

// closed says whether an object's schema allows only its properties.
func closed(raw json.RawMessage) bool {
	var s struct {
		Type       string                     `json:"type"`
		More       *bool                      `json:"additionalProperties"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if json.Unmarshal(raw, &s) != nil || s.Type != "object" {
		return true
	}
	for _, p := range s.Properties {
		if !closed(p) {
			return false
		}
	}
	return s.More != nil && !*s.More
}

// prompt is the text of a message and of the results in it.
func (m anthropicMessage) prompt() string {
	var texts []string
	for _, b := range m.Content {
		if b.Type == "tool_result" {
			texts = append(texts, textOf(b.Content))
		} else if b.Text != "" {
			texts = append(texts, b.Text)
		}
	}
	return strings.Join(texts, " ")
}
