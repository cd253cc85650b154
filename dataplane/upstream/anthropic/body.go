package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/layers-dev/layers/dataplane/chat"
)

// body is a request of Messages. What a client wrote goes into it as raw JSON: numbers and key order stay.
type body struct {
	Model         string        `json:"model"`
	MaxTokens     int64         `json:"max_tokens"`
	System        []block       `json:"system,omitempty"`
	Messages      []turn        `json:"messages"`
	Tools         []tool        `json:"tools,omitempty"`
	ToolChoice    *toolChoice   `json:"tool_choice,omitempty"`
	Thinking      *thinking     `json:"thinking,omitempty"`
	OutputConfig  *outputConfig `json:"output_config,omitempty"`
	StopSequences []string      `json:"stop_sequences,omitempty"`
	Temperature   json.Number   `json:"temperature,omitempty"`
	TopP          json.Number   `json:"top_p,omitempty"`
	TopK          *int64        `json:"top_k,omitempty"`
	Metadata      *metadata     `json:"metadata,omitempty"`
	Stream        bool          `json:"stream,omitempty"`
}

// turn is a message. Consecutive ones of a role are one.
type turn struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is any content block that a request may have.
type block struct {
	Type string `json:"type"`
	// Text is of type text, where it is never empty.
	Text string `json:"text,omitempty"`
	// Thinking is of type thinking, where it may be empty.
	Thinking  *string `json:"thinking,omitempty"`
	Signature string  `json:"signature,omitempty"`
	// Data is of type redacted_thinking.
	Data string `json:"data,omitempty"`
	// ID, Name and Input are of type tool_use.
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`
	// ToolUseID, Content and IsError are of type tool_result.
	ToolUseID string  `json:"tool_use_id,omitempty"`
	Content   []block `json:"content,omitempty"`
	IsError   bool    `json:"is_error,omitempty"`
	// Source is of types image and document, Title of document.
	Source *source       `json:"source,omitempty"`
	Title  string        `json:"title,omitempty"`
	Cache  *cacheControl `json:"cache_control,omitempty"`
}

// thought says that it is reasoning, which takes no breakpoint of the cache.
func (b *block) thought() bool { return b.Type == "thinking" || b.Type == "redacted_thinking" }

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type,omitempty"`
	Data      string `json:"data,omitempty"`
	URL       string `json:"url,omitempty"`
}

type cacheControl struct {
	Type string `json:"type"`
	TTL  string `json:"ttl,omitempty"`
}

type tool struct {
	// Type is of the provider's own tools; empty: the client's.
	Type        string          `json:"type,omitempty"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"`
	Strict      bool            `json:"strict,omitempty"`
	// MaxUses and what follows are of web_search.
	MaxUses        int64           `json:"max_uses,omitempty"`
	AllowedDomains []string        `json:"allowed_domains,omitempty"`
	BlockedDomains []string        `json:"blocked_domains,omitempty"`
	UserLocation   json.RawMessage `json:"user_location,omitempty"`
	Cache          *cacheControl   `json:"cache_control,omitempty"`
}

type toolChoice struct {
	Type            string `json:"type"`
	Name            string `json:"name,omitempty"`
	DisableParallel bool   `json:"disable_parallel_tool_use,omitempty"`
}

// forced says that some tool must be called.
func (t *toolChoice) forced() bool { return t != nil && (t.Type == "any" || t.Type == "tool") }

type thinking struct {
	Type         string `json:"type"`
	BudgetTokens int64  `json:"budget_tokens,omitempty"`
	Display      string `json:"display,omitempty"`
}

// on says that the model will think.
func (t *thinking) on() bool { return t != nil && t.Type != "disabled" }

type outputConfig struct {
	Effort string        `json:"effort,omitempty"`
	Format *outputFormat `json:"format,omitempty"`
}

type outputFormat struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

type metadata struct {
	UserID string `json:"user_id"`
}

// encode writes the request, with <, > and & as they are.
func (b *body) encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(b); err != nil {
		// Some raw JSON of the client's, which its decoder let through.
		return nil, invalid("", fmt.Sprintf("The request cannot be written as JSON: %v", err))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// invalid refuses a request that no Claude model takes.
func invalid(param, message string) *chat.Error {
	return &chat.Error{Status: 400, Type: "invalid_request_error", Param: param, Message: message}
}

// unsupported refuses what the upstream has no parameter for.
func unsupported(param, message string) *chat.Error {
	e := invalid(param, message)
	e.Code = "unsupported_parameter"
	return e
}
