package openai

// ModelInfo is what a client may know of a model.
type ModelInfo struct {
	// ID is the public name.
	ID string
	// Created is in Unix seconds.
	Created int64
	// OwnedBy is the organisation that the list shows.
	OwnedBy string
}

// modelObject is OpenAI's model object, its members in OpenAI's order.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

type modelList struct {
	Object string        `json:"object"`
	Data   []modelObject `json:"data"`
}

func (m ModelInfo) object() modelObject {
	return modelObject{ID: m.ID, Object: "model", Created: m.Created, OwnedBy: m.OwnedBy}
}

// ModelObject is the body of GET /v1/models/{id}.
func ModelObject(m ModelInfo) []byte {
	// Strings and integers always encode.
	body, _ := encode(m.object())
	return body
}

// ModelList is the body of GET /v1/models, in the given order; an empty list is [], not null.
func ModelList(ms []ModelInfo) []byte {
	list := modelList{Object: "list", Data: make([]modelObject, 0, len(ms))}
	for _, m := range ms {
		list.Data = append(list.Data, m.object())
	}
	body, _ := encode(list)
	return body
}
