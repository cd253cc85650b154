package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Sizes and tokens as the providers' manuals have them.
func TestTokensOfAttachments(t *testing.T) {
	for name, c := range map[string]struct {
		kind  snapshot.ProviderType
		model string
		a     chat.Attachment
		want  int64
	}{
		"openai, square":         {snapshot.OpenAI, "gpt-4o", chat.Attachment{Width: 1024, Height: 1024}, 765},
		"openai, tall":           {snapshot.OpenAI, "gpt-4o", chat.Attachment{Width: 2048, Height: 4096}, 1105},
		"openai, low":            {snapshot.OpenAI, "gpt-4o", chat.Attachment{Width: 4096, Height: 8192, Low: true}, 85},
		"openai, a dot":          {snapshot.OpenAI, "gpt-4o", chat.Attachment{Width: 1, Height: 1}, 255},
		"openai, a thread":       {snapshot.OpenAI, "gpt-4o", chat.Attachment{Width: 65536, Height: 1}, 765},
		"openai, the small one":  {snapshot.OpenAI, "gpt-4o-mini", chat.Attachment{Width: 1, Height: 1}, 8500},
		"claude, small":          {snapshot.Anthropic, "claude", chat.Attachment{Width: 200, Height: 200}, 54},
		"claude, a megapixel":    {snapshot.Anthropic, "claude", chat.Attachment{Width: 1000, Height: 1000}, 1334},
		"claude, large":          {snapshot.Anthropic, "claude", chat.Attachment{Width: 4000, Height: 4000}, 1600},
		"gemini, small":          {snapshot.Gemini, "gemini", chat.Attachment{Width: 384, Height: 384}, 258},
		"gemini, six tiles":      {snapshot.Gemini, "gemini", chat.Attachment{Width: 2304, Height: 1536}, 1548},
		"whoever, the most":      {snapshot.OpenAICompatible, "x", chat.Attachment{Width: 640, Height: 480}, 425},
		"whoever, the largest":   {snapshot.VercelAIGateway, "x", chat.Attachment{Width: 1 << 16, Height: 1 << 16}, 258 * 86 * 86},
		"five pages of anything": {snapshot.Gemini, "gemini", chat.Attachment{Pages: 5}, 15_000},
	} {
		if got := attachedTokens(c.kind, c.model, c.a); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// An image is held for, counted and, where nobody reports its usage, charged by its size: neither by the bytes of its base64 nor
// as all that the model can read.
func TestImagesCountBySize(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480))); err != nil {
		t.Fatal(err)
	}
	data := base64.StdEncoding.EncodeToString(b.Bytes())
	url := "data:image/png;base64," + data
	for path, c := range map[string]struct{ body, attached string }{
		"/v1/chat/completions": {`{"model":"good","stream":true,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}]}`, `"` + url + `"`},
		"/v1/responses":        {`{"model":"good","stream":true,"input":[{"role":"user","content":[{"type":"input_image","image_url":"` + url + `"}]}]}`, `"` + url + `"`},
		"/v1/messages": {`{"model":"good","stream":true,"max_tokens":20000,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` +
			data + `"}}]}]}`, `"` + data + `"`},
	} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t, long, func(_ *Options, s *snapshot.Snapshot) {
				s.Models[0].Capabilities = append(s.Models[0].Capabilities, "Vision")
			})
			w.key(goodKey, 1000*usd)
			held := pricing.Nano(0)
			w.serve(func(ctx context.Context, call chat.Call) (*chat.Response, error) {
				held = w.reserved()
				return streams(content("1234"), done())(ctx, call)
			})
			got := w.do("POST", path, goodKey, c.body)
			if got.status != 200 {
				t.Fatalf("%d %.300s", got.status, got.body)
			}
			text := int64(len(strings.Replace(c.body, c.attached, "", 1)))
			if want := (16+(text+3)/4+425)*perIn + 1024*perOut; held != want {
				t.Errorf("%d are held, want %d", held, want)
			}
			if r := w.receipt(got); r.Usage.Input != (text+3)/4+425 || r.Evidence != ledger.EvidenceEstimated {
				t.Errorf("%d tokens of input are charged, want %d", r.Usage.Input, (text+3)/4+425)
			}
			w.sound()
		})
	}
}
