package openai

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	inbound "github.com/layers-dev/layers/dataplane/inbound/openai"
)

// A client of chat completions that asks an ordinary model of OpenAI's to search reads what Responses found: text, and its
// citations, which point at the same text.
func TestRecordedSearchForChat(t *testing.T) {
	for _, r := range recorded(t, "responses", 30) {
		if !strings.HasPrefix(r.ID, "openai-responses-web-search") {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			kind := "application/json"
			stream := "false"
			raw := json.RawMessage(r.body)
			if r.Stream {
				kind, stream = "text/event-stream", "true"
				var last struct{ Response json.RawMessage }
				events := dataOf(r.body)
				if err := json.Unmarshal(events[len(events)-1], &last); err != nil {
					t.Fatal(err)
				}
				raw = last.Response
			}
			req, refused := inbound.Completions{}.Parse("req_1", nil, []byte(`{"model":"public","messages":[{"role":"user","content":"q"}],"web_search_options":{},"stream":`+stream+`}`))
			if refused != nil {
				t.Fatal(refused)
			}
			c := call(t, answer(t, 200, kind, string(r.body)), `{}`, r.Stream)
			c.Request, c.Model, c.Provider.Type = req, "gpt-5.2", openaiType
			resp, err := newUpstream(t).Do(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			got := completionOf(t, req, resp)
			if d := cmp.Diff(wantedSearch(t, raw), got); d != "" {
				t.Error(d)
			}
		})
	}
}

type foundText struct {
	Text  string
	Cited map[string]string // by URL: the text
}

// completionOf is what a client reads in the answer, unary or streamed.
func completionOf(t *testing.T, req *chat.Request, resp *chat.Response) foundText {
	t.Helper()
	out := foundText{Cited: map[string]string{}}
	var bodies [][]byte
	if resp.Answer != nil {
		body, err := inbound.Completions{}.Answer(req, resp.Answer, chat.Total{Usage: *resp.Usage})
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	} else {
		w := inbound.Completions{}.Stream(req)
		var raw []byte
		for {
			e, err := resp.Events.Next()
			if err != nil {
				break
			}
			for i := range e.Pieces {
				raw = w.Write(raw, &e.Pieces[i])
			}
		}
		bodies = dataOf(w.End(raw, chat.Total{}))
	}
	type span struct {
		Citation struct {
			URL   string
			Start int `json:"start_index"`
			End   int `json:"end_index"`
		} `json:"url_citation"`
	}
	var spans []span
	for _, b := range bodies {
		var c struct {
			Choices []struct {
				Message, Delta struct {
					Content     string
					Annotations []span
				}
			}
		}
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		for _, choice := range c.Choices {
			out.Text += choice.Message.Content + choice.Delta.Content
			spans = append(append(spans, choice.Message.Annotations...), choice.Delta.Annotations...)
		}
	}
	for _, s := range spans {
		out.Cited[s.Citation.URL] = cutText(out.Text, s.Citation.Start, s.Citation.End)
	}
	return out
}

func cutText(s string, from, to int) string { return string([]rune(s)[from:to]) }

// wantedSearch reads the recorded response's only message.
func wantedSearch(t *testing.T, raw []byte) foundText {
	t.Helper()
	var r struct {
		Output []struct {
			Content []struct {
				Text        string
				Annotations []struct {
					URL   string
					Start int `json:"start_index"`
					End   int `json:"end_index"`
				}
			}
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	out := foundText{Cited: map[string]string{}}
	for _, item := range r.Output {
		for _, part := range item.Content {
			out.Text += part.Text
			for _, a := range part.Annotations {
				out.Cited[a.URL] = cutText(part.Text, a.Start, a.End)
			}
		}
	}
	return out
}
