package anthropic

import (
	"encoding/json"
	"time"
)

// ModelInfo is what a client may know of a model.
type ModelInfo struct {
	// ID is the public name; DisplayName is for people, empty: the ID.
	ID, DisplayName string
	// Created is in Unix seconds.
	Created int64
	// MaxInputTokens and MaxTokens bound a prompt and an answer; 0: not known.
	MaxInputTokens, MaxTokens int64
	// Extra has further members of the object, as the gateway's other list shows them (prices, capabilities); an object, or
	// nil. Its members do not repeat those above.
	Extra json.RawMessage
}

// modelObject is Anthropic's model object (ModelInfo of its SDKs), its members in the API's order.
type modelObject struct {
	Type      string `json:"type"`
	ID        string `json:"id"`
	Name      string `json:"display_name"`
	CreatedAt string `json:"created_at"`
	MaxInput  *int64 `json:"max_input_tokens"`
	MaxTokens *int64 `json:"max_tokens"`
}

func (m ModelInfo) object() json.RawMessage {
	o := modelObject{
		Type: "model", ID: m.ID, Name: m.DisplayName, CreatedAt: time.Unix(m.Created, 0).UTC().Format(time.RFC3339),
		MaxInput: known(m.MaxInputTokens), MaxTokens: known(m.MaxTokens),
	}
	if o.Name == "" {
		o.Name = m.ID
	}
	// Strings and integers always encode.
	body, _ := encode(o)
	if len(m.Extra) > len("{}") {
		body = append(append(body[:len(body)-1], ','), m.Extra[1:]...)
	}
	return body
}

func known(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// ModelObject is the body of GET /v1/models/{id} for a client that sends anthropic-version.
func ModelObject(m ModelInfo) []byte { return m.object() }

// ModelList is the body of GET /v1/models for such a client, in the given order: all on one page.
func ModelList(ms []ModelInfo) []byte {
	list := struct {
		Data    []json.RawMessage `json:"data"`
		FirstID *string           `json:"first_id"`
		HasMore bool              `json:"has_more"`
		LastID  *string           `json:"last_id"`
	}{Data: make([]json.RawMessage, 0, len(ms))}
	for i := range ms {
		list.Data = append(list.Data, ms[i].object())
	}
	if n := len(ms); n > 0 {
		list.FirstID, list.LastID = &ms[0].ID, &ms[n-1].ID
	}
	body, err := encode(list)
	if err != nil {
		return []byte(`{"data":[],"first_id":null,"has_more":false,"last_id":null}`)
	}
	return body
}
