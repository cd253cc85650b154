package verify

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// embeddingChecks are those of a model that makes vectors.
func embeddingChecks(m model) []edge {
	ask := func(ctx context.Context, g *gateway, format string) ([]json.RawMessage, error) {
		got, err := g.post(ctx, client.EmbeddingsPath, client.EmbeddingsBody(m.id, format, "one", "another"))
		if err != nil {
			return nil, err
		}
		if err := got.good(client.Completions{}, "application/json"); err != nil {
			return nil, err
		}
		vectors, usage, err := client.Embeddings(got.body, 2)
		if err == nil && usage.Input < 1 {
			err = wrong("usage with tokens of input", "%+v", *usage)
		}
		return vectors, err
	}
	return []edge{
		{m.id, client.EmbeddingsName, "vectors", func(ctx context.Context, g *gateway) error {
			vectors, err := ask(ctx, g, "float")
			var a, b []json.Number
			if err == nil && (unmarshal(vectors[0], &a) != nil || unmarshal(vectors[1], &b) != nil || len(a) == 0 || len(a) != len(b)) {
				err = wrong("two arrays of numbers of one length", "%s", vectors[0])
			}
			return err
		}},
		{m.id, client.EmbeddingsName, "vectors in base64", func(ctx context.Context, g *gateway) error {
			vectors, err := ask(ctx, g, "base64")
			if err != nil {
				return err
			}
			var text string
			raw, bad := []byte(nil), unmarshal(vectors[0], &text)
			if bad == nil {
				raw, bad = base64.StdEncoding.DecodeString(text)
			}
			if bad != nil || len(raw) == 0 || len(raw)%4 != 0 {
				return wrong("32-bit floats in base64", "%s", vectors[0])
			}
			return nil
		}},
	}
}
