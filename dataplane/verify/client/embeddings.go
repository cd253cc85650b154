package client

import "encoding/json"

// EmbeddingsPath is that of OpenAI's embeddings, EmbeddingsName as in chat.Protocol.
const (
	EmbeddingsPath = "/v1/embeddings"
	EmbeddingsName = "embeddings"
)

// EmbeddingsBody asks for the vectors of texts, as floats or in base64.
func EmbeddingsBody(model, format string, texts ...string) []byte {
	return marshal(object{"model": model, "input": texts, "encoding_format": format})
}

// Embeddings are as many vectors as there were texts, each in its place; their members are left as they came.
func Embeddings(body []byte, n int) ([]json.RawMessage, *Usage, error) {
	var list struct {
		Object string `json:"object"`
		Data   []struct {
			Object    string          `json:"object"`
			Index     *int            `json:"index"`
			Embedding json.RawMessage `json:"embedding"`
		} `json:"data"`
		Usage struct {
			Prompt *int64      `json:"prompt_tokens"`
			Cost   json.Number `json:"cost"`
		} `json:"usage"`
	}
	if err := decode(body, &list, "a list of embeddings"); err != nil {
		return nil, nil, err
	}
	if list.Object != "list" || len(list.Data) != n || list.Usage.Prompt == nil {
		return nil, nil, mismatch("a list with usage and a vector for each text", "object %q, %d vectors: %s", list.Object, len(list.Data), body)
	}
	out := make([]json.RawMessage, n)
	for i, d := range list.Data {
		if d.Index == nil || *d.Index != i || len(d.Embedding) < len("[0]") {
			return nil, nil, mismatch("vectors in the order of the texts", "%s", body)
		}
		out[i] = d.Embedding
	}
	return out, &Usage{Input: *list.Usage.Prompt, Cost: list.Usage.Cost}, nil
}
