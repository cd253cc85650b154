package perplexity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// found is an answer with marks and what they mean.
const found = `{"id":"r","status":"completed","output":[{"type":"search_results","results":[{"id":1,"url":"u","title":"t"},{"id":22,"url":"v"}]},
	{"type":"fetch_url_results","contents":[{"url":"w"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
	{"type":"message","content":[{"type":"output_text","text":"\ud83d\ude00[1] \u00e9 [web:22][1][9]"}]}],"usage":{"input_tokens":1,"output_tokens":2}}`

// FuzzStream: whatever comes, however it is cut, gives the same answer, citations of nothing but marks, and no panic.
func FuzzStream(f *testing.F) {
	// Small seeds: each that is new is made smaller first, which takes long with a large one.
	for e := range strings.SplitSeq(agentStream, "\n\n") {
		f.Add([]byte(e + "\n\n"))
	}
	f.Add([]byte(`data: {"type":"response.completed","response":{"output":[{"type":"search_results","results":[{"id":1,"url":"u"}]},{"type":"message","content":[{"type":"output_text","text":"[1]"}]}]}}`))
	f.Add([]byte(streamOf(`{"type":"response.output_item.done","item":{"type":"search_results","results":[{"id":1,"url":"u"}]}}`,
		`{"type":"response.output_text.delta","delta":"a ["}`, `{"type":"response.output_text.delta","delta":"1][1"}`, `{"type":"response.output_text.delta","delta":"] b[1]"}`, `{"type":"response.completed","response":{}}`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		open := func(r io.Reader) chat.Stream { return dialect().Stream(transport.Replay(io.NopCloser(r), true), false) }
		whole, err := viewStream(open(bytes.NewReader(body)))
		slow, err2 := viewStream(open(iotest.OneByteReader(bytes.NewReader(body))))
		if d := cmp.Diff(whole, slow, cmpopts.EquateEmpty()); d != "" || (err == nil) != (err2 == nil) {
			t.Fatal(d, err, err2)
		}
		var e *chat.Error
		if err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Message == "") {
			t.Fatal(err)
		}
		for _, c := range whole.Citations {
			if c.Start < 0 || c.End < c.Start {
				t.Fatalf("%+v", c)
			}
		}
		checkMarks(t, open(bytes.NewReader(body)))
	})
}

// checkMarks reads a stream and holds each citation that was found in the text against the text since something else came.
func checkMarks(t *testing.T, s chat.Stream) {
	t.Helper()
	run := ""
	for {
		e, err := s.Next()
		if err != nil {
			return
		}
		for _, p := range e.Pieces {
			switch p.Kind {
			case chat.PieceText:
				run += p.Text
			case chat.PieceCitation:
				checkMark(t, run, *p.Citation)
			case chat.PieceSource, chat.PieceLogprobs, chat.PieceStart:
			default:
				run = ""
			}
		}
	}
}

func checkMark(t *testing.T, text string, c chat.Citation) {
	t.Helper()
	if c.Native != nil {
		return // the provider's own
	}
	units := utf16.Encode([]rune(text))
	if c.Start < 0 || c.End < c.Start || c.End > int64(len(units)) {
		t.Fatalf("%+v in %q", c, text)
	}
	if cited := string(utf16.Decode(units[c.Start:c.End])); mark.FindString(cited) != cited || c.URL == "" {
		t.Fatalf("%+v is %q in %q", c, cited, text)
	}
}

// FuzzAnswer: any response is read or refused, cites nothing but marks, and is the same where it is streamed in one event.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(found))
	f.Add([]byte(`{"output":[{"type":"people_search_results","results":[{"id":-1,"url":"u"},{"id":3,"url":""}]},{"type":"message","content":[{"type":"output_text","text":"[3][-1]","annotations":[{"type":"url_citation","url":"u","start_index":2,"end_index":1}]}]}]}`))
	f.Add([]byte(`{"status":"failed","output":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := dialect().Unary(transport.Replay(io.NopCloser(bytes.NewReader(body)), false), false)
		if err != nil {
			var e *chat.Error
			if !errors.As(err, &e) || e.Status < 400 || e.Message == "" {
				t.Fatal(err)
			}
			return
		}
		for _, p := range r.Answer.Choices[0].Parts {
			for _, c := range p.Citations {
				checkMark(t, p.Text, c)
			}
		}
		var line bytes.Buffer
		if json.Compact(&line, body) != nil {
			t.Fatal("not JSON")
		}
		got, err := viewStream(dialect().Stream(transport.Replay(io.NopCloser(strings.NewReader(streamOf(`{"type":"response.completed","response":`+line.String()+`}`))), true), false))
		if _, deep := jsonscan.Scan([]byte(`{"a":` + line.String() + `}`)); deep != nil {
			return
		}
		want := viewAnswer(r)
		want.Citations, got.Citations = nil, nil // into one part, and into what came since the last one
		want.Text = ""
		for _, p := range r.Answer.Choices[0].Parts {
			if p.Kind == chat.PartText {
				want.Text += p.Text
			}
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Fatal(d, err)
		}
	})
}

// streamOf writes events.
func streamOf(events ...string) string { return "data: " + strings.Join(events, "\n\ndata: ") + "\n\n" }
