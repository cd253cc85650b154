package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

const embeddingsBody = `{"model":"public","input":"hi"}`

func TestRecordedEmbeddings(t *testing.T) {
	for _, r := range recorded(t, "embeddings", 4) {
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, r.Status, "application/json", string(r.body))
			got, err := newUpstream(t).Do(context.Background(), speaking(t, chat.Embeddings, base, embeddingsBody, false))
			if r.Status != http.StatusOK {
				if e := chatError(t, err); e.Status != r.Status || e.Code != "model_not_found" {
					t.Errorf("got %+v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Usage struct {
					Prompt int64 `json:"prompt_tokens"`
				}
			}
			if err := json.Unmarshal(r.body, &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&pricing.Usage{Input: want.Usage.Prompt}, got.Usage); d != "" || got.OutputBytes == 0 || !bytes.Equal(got.Body, r.body) {
				t.Errorf("%s; %d bytes", d, got.OutputBytes)
			}
		})
	}
}

func TestEmbeddings(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		usage  *pricing.Usage
		output int64
		code   string
	}{
		"base64":      {body: `{"data":[{"embedding":"AAAA","index":0}],"usage":{"prompt_tokens":3,"total_tokens":3}}`, usage: &pricing.Usage{Input: 3}, output: 1},
		"total alone": {body: `{"data":[{"embedding":[1]}],"usage":{"total_tokens":4}}`, usage: &pricing.Usage{Input: 4}, output: 1},
		"no usage":    {body: `{"data":[{"embedding":[1]}]}`, output: 1},
		"none":        {body: `{"data":[]}`},
		"no data":     {body: `{"object":"list"}`, code: "upstream_invalid_response"},
		"cut":         {body: `{"data":[{"embedding":[0.1,`, code: "upstream_invalid_response"},
		"error":       {body: `{"error":{"message":"busy","code":503}}`, code: "upstream_overloaded"},
	} {
		t.Run(name, func(t *testing.T) {
			base := answer(t, 200, "application/json", c.body)
			got, err := newUpstream(t).Do(context.Background(), speaking(t, chat.Embeddings, base, embeddingsBody, false))
			if c.code != "" {
				if e := chatError(t, err); e.Code != c.code {
					t.Errorf("got %+v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.usage, got.Usage); d != "" || got.OutputBytes != c.output {
				t.Errorf("%s; %d", d, got.OutputBytes)
			}
		})
	}
}
