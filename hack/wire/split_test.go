package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/inbound/responses"
	"github.com/layers-dev/layers/dataplane/snapshot"
	anthropicup "github.com/layers-dev/layers/dataplane/upstream/anthropic"
	"github.com/layers-dev/layers/dataplane/upstream/gemini"
	openaiup "github.com/layers-dev/layers/dataplane/upstream/openai"
	"github.com/layers-dev/layers/dataplane/upstream/perplexity"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

var dialects = map[chat.Protocol]chat.Dialect{
	chat.Completions: openai.Completions{}, chat.Messages: anthropic.Messages{}, chat.Responses: responses.New(openai.Completions{}),
}

// pieces is a provider whose answer comes as its reader gives it.
type pieces struct {
	*Case
	body io.Reader
}

// RoundTrip implements http.RoundTripper.
func (p pieces) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"text/event-stream"}}
	return &http.Response{StatusCode: p.Status, Header: h, Body: io.NopCloser(p.body)}, nil
}

// zeros are the ids of calls that have none, the same in each run.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func (p planned) upstream(body io.Reader) chat.Upstream {
	client := transport.New(transport.Options{Version: "test", RoundTripper: pieces{p.Case, body}})
	switch p.kind {
	case snapshot.Anthropic:
		return anthropicup.New(client)
	case snapshot.Gemini:
		return gemini.New(client, gemini.Options{Random: zeros{}})
	case snapshot.Perplexity:
		return perplexity.New(client)
	}
	return openaiup.New(client)
}

// pipe takes a recorded stream through the upstream and the client's dialect: what the client gets.
func (p planned) pipe(req *chat.Request, body io.Reader) (string, error) {
	resp, err := p.upstream(body).Do(context.Background(), chat.Call{
		Request: req, Model: p.model, MaxOutputTokens: 4096, Provider: &snapshot.Provider{Type: p.kind, BaseURL: "http://provider.invalid"},
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Events.Close() }() // its errors came by Next
	var out []byte
	var total chat.Total
	var writer chat.StreamWriter
	for {
		e, err := resp.Events.Next()
		if errors.Is(err, io.EOF) && !errors.As(err, new(*chat.Error)) {
			break
		}
		if err != nil {
			return string(out), err
		}
		if e.Err != nil {
			return string(out), e.Err
		}
		if e.Usage != nil {
			total.Usage = *e.Usage
		}
		if len(e.Pieces) > 0 && writer == nil {
			writer = dialects[p.protocol].Stream(req)
		}
		for i := range e.Pieces {
			out = writer.Write(out, &e.Pieces[i])
		}
		out = append(out, e.Raw...)
	}
	if writer != nil {
		out = writer.End(out, total)
	}
	return string(out), nil
}

// Wherever a recorded stream is cut, a client of every protocol gets the same bytes.
func TestSplits(t *testing.T) {
	cases := exchanges(t)
	for i := range cases {
		for _, protocol := range inbounds {
			p, ok := plan(&cases[i], protocol)
			if !ok || !p.Stream || p.Status != http.StatusOK {
				continue
			}
			t.Run(string(protocol)+"/"+p.ID, func(t *testing.T) {
				t.Parallel()
				p.splits(t)
			})
		}
	}
}

func (p planned) splits(t *testing.T) {
	parse := func() *chat.Request {
		req, bad := dialects[p.protocol].Parse("req_1", http.Header{}, p.short())
		if bad != nil {
			t.Fatal(bad)
		}
		req.Created = 1700000000
		return req
	}
	want, wantErr := p.pipe(parse(), bytes.NewReader(p.Body))
	if want == "" && wantErr == nil {
		t.Fatal("nothing came out")
	}
	said := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	check := func(how string, at int, body io.Reader) {
		got, err := p.pipe(parse(), body)
		if got != want || said(err) != said(wantErr) {
			t.Fatalf("%s %d: %v, %s", how, at, err, cmp.Diff(want, got))
		}
	}
	check("a byte at a time", 0, iotest.OneByteReader(bytes.NewReader(p.Body)))
	check("with the end", 0, iotest.DataErrReader(bytes.NewReader(p.Body)))
	for i := 1; i < len(p.Body); i += 1 + len(p.Body)*len(p.Body)/600_000 {
		check("cut at", i, io.MultiReader(bytes.NewReader(p.Body[:i]), bytes.NewReader(p.Body[i:])))
	}
}
