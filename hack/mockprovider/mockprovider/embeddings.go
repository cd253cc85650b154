package mockprovider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"strings"
)

// embeddingsDialect is OpenAI's embeddings: the vector of a text has its bytes' shares in it.
type embeddingsDialect struct{ chatDialect }

// dimensions are a vector's, if none are asked for; maxDimensions bounds those.
const (
	dimensions    = 8
	maxDimensions = 4096
)

func (embeddingsDialect) ids() string { return "embd-mock-%06d" }

func (embeddingsDialect) read(r *http.Request, body []byte, in *request) *failure {
	if f := bearer(r, in.Key); f != nil {
		return f
	}
	var q struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`
		Format     string          `json:"encoding_format"`
		Dimensions int             `json:"dimensions"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return refuse("%v", err)
	}
	var one string
	if json.Unmarshal(q.Input, &one) == nil {
		in.Inputs = []string{one}
	} else if json.Unmarshal(q.Input, &in.Inputs) != nil || len(in.Inputs) == 0 {
		return refuse("'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
	}
	if q.Dimensions < 0 || q.Dimensions > maxDimensions {
		return refuse("Invalid value for 'dimensions' = %d.", q.Dimensions)
	}
	in.Model, in.Base64, in.Size = q.Model, q.Format == "base64", q.Dimensions
	in.Prompt = strings.Join(in.Inputs, " ")
	return nil
}

func (embeddingsDialect) unary(e *exchange) any {
	rows := []any{}
	for i, text := range e.in.Inputs {
		row := object{"object": "embedding", "index": i}
		row["embedding"] = vector(text, e.in.Size)
		if e.in.Base64 {
			row["embedding"] = packed(vector(text, e.in.Size))
		}
		rows = append(rows, row)
	}
	out := object{"object": "list", "data": rows, "model": e.in.Model}
	if !e.script.noUsage {
		n := e.usage().Prompt
		out["usage"] = object{"prompt_tokens": n, "total_tokens": n}
	}
	return out
}

// vector counts a text's bytes by their value, as a vector of length 1.
func vector(text string, size int) []float32 {
	if size == 0 {
		size = dimensions
	}
	out := make([]float32, size)
	out[0] = 1
	for _, b := range []byte(text) {
		out[int(b)%size]++
	}
	var sum float64
	for _, x := range out {
		sum += float64(x) * float64(x)
	}
	for i := range out {
		out[i] /= float32(math.Sqrt(sum))
	}
	return out
}

// packed is a vector as OpenAI's libraries ask for it: base64 of little-endian floats.
func packed(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}
