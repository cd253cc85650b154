package anthropic

import (
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// ModelInfo is what a client may know of a model.
type ModelInfo struct {
	// ID is the public name; DisplayName is for people, empty: the ID.
	ID, DisplayName string
	// Created is in Unix seconds.
	Created int64
	// MaxInputTokens and MaxTokens bound a prompt and an answer; 0: not known.
	MaxInputTokens, MaxTokens int64
	// Capabilities as api/v1alpha1.Capability spells them; nil: not known.
	Capabilities []string
}

// Info is what clients see of a model.
func Info(m *snapshot.Model) ModelInfo {
	return ModelInfo{
		ID: m.PublicName, Created: m.Created, MaxInputTokens: m.Limits.ContextTokens, MaxTokens: m.Limits.MaxOutputTokens,
		Capabilities: m.Capabilities,
	}
}

// modelObject is Anthropic's model object (ModelInfo of its SDKs), its members in the API's order.
type modelObject struct {
	Type         string        `json:"type"`
	ID           string        `json:"id"`
	Name         string        `json:"display_name"`
	CreatedAt    string        `json:"created_at"`
	MaxInput     *int64        `json:"max_input_tokens"`
	MaxTokens    *int64        `json:"max_tokens"`
	Capabilities *capabilities `json:"capabilities"`
}

type supported struct {
	Supported bool `json:"supported"`
}

// capabilities are those of Anthropic's list, all of which its SDKs expect. What the gateway does not offer, or does not know
// of a model, is not supported.
type capabilities struct {
	Batch             supported         `json:"batch"`
	Citations         supported         `json:"citations"`
	CodeExecution     supported         `json:"code_execution"`
	ContextManagement contextManagement `json:"context_management"`
	Effort            effort            `json:"effort"`
	Image             supported         `json:"image_input"`
	PDF               supported         `json:"pdf_input"`
	ServerTools       serverTools       `json:"server_tools"`
	Structured        supported         `json:"structured_outputs"`
	Thinking          thinkingTypes     `json:"thinking"`
}

type contextManagement struct {
	supported
	ClearThinking *supported `json:"clear_thinking_20251015"`
	ClearToolUses *supported `json:"clear_tool_uses_20250919"`
	Compact       *supported `json:"compact_20260112"`
}

// effort has no xhigh and max for models of which that is not known: null.
type effort struct {
	supported
	Low    supported  `json:"low"`
	Medium supported  `json:"medium"`
	High   supported  `json:"high"`
	XHigh  *supported `json:"xhigh"`
	Max    supported  `json:"max"`
}

type serverTools struct {
	supported
	CodeExecution supported `json:"code_execution"`
	WebSearch     supported `json:"web_search"`
}

type thinkingTypes struct {
	supported
	Types struct {
		Enabled  supported `json:"enabled"`
		Adaptive supported `json:"adaptive"`
	} `json:"types"`
}

func capabilitiesOf(names []string) *capabilities {
	if names == nil {
		return nil
	}
	has := func(name string) supported { return supported{slices.Contains(names, name)} }
	thinks, searches := has(needThinking), has(needSearch)
	c := &capabilities{
		Effort: effort{supported: thinks, Low: thinks, Medium: thinks, High: thinks},
		Image:  has(needVision), PDF: has(needVision), Structured: has(needJSON), Citations: searches,
		ServerTools: serverTools{supported: searches, WebSearch: searches},
		Thinking:    thinkingTypes{supported: thinks},
	}
	c.Thinking.Types.Enabled, c.Thinking.Types.Adaptive = thinks, thinks
	return c
}

func (m ModelInfo) object() modelObject {
	o := modelObject{
		Type: "model", ID: m.ID, Name: m.DisplayName, CreatedAt: time.Unix(m.Created, 0).UTC().Format(time.RFC3339),
		MaxInput: known(m.MaxInputTokens), MaxTokens: known(m.MaxTokens), Capabilities: capabilitiesOf(m.Capabilities),
	}
	if o.Name == "" {
		o.Name = m.ID
	}
	return o
}

func known(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// ModelObject is the body of GET /v1/models/{id} for a client that sends anthropic-version.
func ModelObject(m ModelInfo) []byte {
	// Strings, integers and booleans always encode.
	body, _ := encode(m.object())
	return body
}

// ModelList is the body of GET /v1/models for such a client, in the given order: all on one page.
func ModelList(ms []ModelInfo) []byte {
	list := struct {
		Data    []modelObject `json:"data"`
		FirstID *string       `json:"first_id"`
		HasMore bool          `json:"has_more"`
		LastID  *string       `json:"last_id"`
	}{Data: make([]modelObject, 0, len(ms))}
	for i := range ms {
		list.Data = append(list.Data, ms[i].object())
	}
	if n := len(ms); n > 0 {
		list.FirstID, list.LastID = &ms[0].ID, &ms[n-1].ID
	}
	body, _ := encode(list)
	return body
}
