package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	inbound "github.com/layers-dev/layers/dataplane/inbound/openai"
	stateless "github.com/layers-dev/layers/dataplane/inbound/responses"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/verify/client"
)

// usageHeader tells what the adapter heard of usage: what a gateway would charge for.
const usageHeader = "Layers-Verify-Usage"

// modelOutput is what adapters take for the longest answer where a protocol has to say one, in tokens: requests of this
// package always say less.
const modelOutput = 64000

// direct carries requests to a provider through the gateway's own protocols and adapters, without a gateway. It is an
// http.RoundTripper, so that the checks ask both in the same way.
type direct struct {
	up       chat.Upstream
	provider snapshot.Provider
	dialects map[string]chat.Dialect // by path
	options  Options
	count    atomic.Int64
}

func newDirect(up chat.Upstream, p snapshot.Provider, o Options) *direct {
	return &direct{up: up, provider: p, options: o, dialects: map[string]chat.Dialect{
		client.Completions{}.Path(): inbound.Completions{},
		client.Messages{}.Path():    anthropic.Messages{},
		client.Responses{}.Path():   stateless.New(inbound.Completions{}),
		client.EmbeddingsPath:       inbound.Embeddings{},
	}}
}

// protocols are those in which the provider can be asked.
func (d *direct) protocols() []client.Protocol {
	var out []client.Protocol
	for _, p := range client.All() {
		if d.up.Fit(&d.provider, chat.Protocol(p.Name())) != chat.Unfit {
			out = append(out, p)
		}
	}
	return out
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	id := fmt.Sprintf("req_verify%d", d.count.Add(1))
	w.header.Set("X-Layers-Request-Id", id)
	dialect := d.dialects[r.URL.Path]
	if dialect == nil {
		return nil, fmt.Errorf("there is no %s", r.URL.Path)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if err := d.answer(r.Context(), w, dialect, id, r.Header, body); err != nil {
		var e *chat.Error
		if !errors.As(err, &e) {
			return nil, err
		}
		dialect.Error(w, e)
	}
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// answer asks the provider and writes what it says in the dialect. A *chat.Error is told to the client.
func (d *direct) answer(ctx context.Context, w *recorder, dialect chat.Dialect, id string, h http.Header, body []byte) error {
	req, bad := dialect.Parse(id, h, body)
	if bad != nil {
		return bad
	}
	req.Created = d.options.Now().Unix()
	seconds := int32(max(1, min(d.options.Timeout.Seconds(), 3600)))
	resp, err := d.up.Do(ctx, chat.Call{
		Request: req, Provider: &d.provider, Model: req.Model, MaxOutputTokens: modelOutput,
		Timeouts: snapshot.Timeout{ConnectSeconds: seconds, FirstEventSeconds: seconds, IdleSeconds: seconds, TotalSeconds: seconds},
	})
	if err != nil {
		return err
	}
	if resp.Events != nil {
		defer func() { _ = resp.Events.Close() }() // the stream was read to its end, or failed
		return d.stream(w, dialect, req, resp.Events)
	}
	return d.unary(w, dialect, req, resp)
}

func (d *direct) unary(w *recorder, dialect chat.Dialect, req *chat.Request, resp *chat.Response) error {
	out := resp.Body
	if resp.Answer != nil {
		var total chat.Total
		if resp.Usage != nil {
			total.Usage = *resp.Usage
		}
		var err error
		if out, err = dialect.Answer(req, resp.Answer, total); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	w.header.Set("Content-Type", "application/json")
	w.heard(resp.Usage)
	_, err := w.Write(out)
	return err
}

// stream writes the events as the server does, but all at once.
func (d *direct) stream(w *recorder, dialect chat.Dialect, req *chat.Request, events chat.Stream) error {
	var usage *pricing.Usage
	var writer chat.StreamWriter
	var out []byte
	content := false
	for {
		e, err := events.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && e.Err != nil {
			err = e.Err
		}
		if err != nil {
			return d.broken(w, dialect, out, content, err)
		}
		if e.Usage != nil {
			heard := *e.Usage
			usage = &heard
		}
		content = content || e.Content
		switch {
		case len(e.Pieces) > 0:
			if writer == nil {
				writer = dialect.Stream(req)
			}
			for i := range e.Pieces {
				out = writer.Write(out, &e.Pieces[i])
			}
		case !e.UsageOnly || req.IncludeUsage:
			out = append(out, e.Raw...)
		}
	}
	if writer != nil {
		var total chat.Total
		if usage != nil {
			total.Usage = *usage
		}
		out = writer.End(out, total)
	}
	w.heard(usage)
	w.header.Set("Content-Type", "text/event-stream")
	_, err := w.Write(out)
	return err
}

// broken is a stream that failed: before any content it is a status, after it an event.
func (d *direct) broken(w *recorder, dialect chat.Dialect, out []byte, content bool, err error) error {
	var e *chat.Error
	if !content || !errors.As(err, &e) {
		return err
	}
	w.header.Set("Content-Type", "text/event-stream")
	_, err = w.Write(append(out, dialect.ErrorEvent(e)...))
	return err
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// heard notes the adapter's usage; null: it heard none.
func (w *recorder) heard(u *pricing.Usage) {
	text, err := json.Marshal(u)
	if err != nil {
		return // numbers always encode
	}
	w.header.Set(usageHeader, string(text))
}

// heardSame holds what the adapter heard to what the client reads: the first is charged, the second is told.
func (r *reply) heardSame(a *client.Answer) error {
	text := r.header.Get(usageHeader)
	if text == "" || a == nil {
		return nil
	}
	var heard *pricing.Usage
	if err := json.Unmarshal([]byte(text), &heard); err != nil || heard == nil {
		return wrong("usage that the adapter hears", "%s", text)
	}
	in := heard.Input + heard.CacheRead + heard.CacheWrite + heard.CacheWrite1h
	if u := a.Usage; u != nil && (in != u.Input || heard.Output != u.Output || heard.CacheRead != u.CacheRead) {
		return wrong("the adapter's usage to be what the client reads", "%s and %+v", text, *u)
	}
	return nil
}
