package openai

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestWhereCallsGo(t *testing.T) {
	const body = `{"model":"public"}`
	for name, c := range map[string]struct {
		kind     snapshot.ProviderType
		protocol chat.Protocol
		model    string
		search   bool
		path     string
		holds    string // in the body
	}{
		"chat":                         {openaiType, chat.Completions, "gpt-5", false, "/chat/completions", `{"model":"gpt-5"}`},
		"chat, searches":               {openaiType, chat.Completions, "gpt-4o", true, "/responses", `"tools":[{"type":"web_search"}]`},
		"chat, searches by itself":     {openaiType, chat.Completions, "gpt-4o-search-preview", true, "/chat/completions", `{"model":"gpt-4o-search-preview"}`},
		"chat, searches, compatible":   {compatible, chat.Completions, "gpt-4o", true, "/chat/completions", `{"model":"gpt-4o"}`},
		"chat, searches, Vercel":       {vercel, chat.Completions, "openai/gpt-5", true, "/responses", `"web_search"`},
		"chat, searches, Vercel's own": {vercel, chat.Completions, "perplexity/sonar", true, "/chat/completions", `{"model":"perplexity/sonar"}`},
		"Messages, reasons":            {openaiType, chat.Messages, "gpt-5", false, "/responses", `"reasoning.encrypted_content"`},
		"Messages":                     {openaiType, chat.Messages, "gpt-4o", false, "/chat/completions", `"messages":[{"role":"user","content":"hi"}]`},
		"Messages, searches":           {openaiType, chat.Messages, "gpt-4o", true, "/responses", `"web_search"`},
		"Messages, searches by itself": {openaiType, chat.Messages, "gpt-4o-search-preview", true, "/chat/completions", `"web_search_options":{}`},
		"Messages, Vercel":             {vercel, chat.Messages, "anthropic/claude-opus-5", false, "/chat/completions", `"messages"`},
		"Messages, Morph":              {morph, chat.Messages, "morph-v3-fast", false, "/chat/completions", `"messages"`},
		"Responses":                    {openaiType, chat.Responses, "gpt-5", false, "/responses", `{"model":"gpt-5"}`},
		"Responses, Vercel":            {vercel, chat.Responses, "openai/gpt-5", false, "/responses", `{"model":"openai/gpt-5"}`},
		"Responses, compatible":        {compatible, chat.Responses, "m", false, "/chat/completions", `"messages"`},
		"embeddings":                   {morph, chat.Embeddings, "e", false, "/embeddings", `{"model":"e"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var sent bytes.Buffer
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				_, _ = sent.ReadFrom(r.Body)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"id":"x","status":"completed","output":[],"choices":[],"data":[]}`))
			})
			cc := call(t, base, body, false)
			cc.Provider.Type, cc.Request.Protocol, cc.Model = c.kind, c.protocol, c.model
			p := &chat.Prompt{Choices: 1, Messages: []chat.Message{say(chat.User, saying("hi"))}}
			if c.search {
				p.Search, cc.Request.Searches = &chat.Search{}, 1
			}
			cc.Request.Translate = func() (*chat.Prompt, error) { return p, nil }
			got, err := newUpstream(t).Do(context.Background(), cc)
			if err != nil {
				t.Fatal(err)
			}
			if path != c.path || !strings.Contains(sent.String(), c.holds) {
				t.Errorf("%s %s", path, sent.String())
			}
			if passed := strings.HasPrefix(c.holds, "{"); passed != (got.Body != nil) || passed == (got.Answer != nil) {
				t.Errorf("body %s, answer %v", got.Body, got.Answer)
			}
		})
	}
}

func TestDroppedIsTold(t *testing.T) {
	base := answer(t, 200, "application/json", `{"choices":[]}`)
	c := call(t, base, `{"model":"public","temperature":0,"stop":["x"]}`, false)
	c.Provider.Type, c.Model = openaiType, "gpt-5"
	got, err := newUpstream(t).Do(context.Background(), c)
	if err != nil || !slices.Equal(got.Dropped, []string{"temperature", "stop"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestNoTranslation(t *testing.T) {
	fail := errors.New("no")
	for name, translate := range map[string]func() (*chat.Prompt, error){
		"none":    nil,
		"bad":     func() (*chat.Prompt, error) { return nil, fail },
		"refused": func() (*chat.Prompt, error) { return nil, &chat.Error{Status: 400, Message: "x"} },
		"n":       func() (*chat.Prompt, error) { return &chat.Prompt{Choices: 2}, nil },
	} {
		c := call(t, "http://127.0.0.1:1", `{}`, false)
		c.Provider.Type, c.Request.Protocol, c.Model, c.Request.Translate = openaiType, chat.Messages, "gpt-5", translate
		_, err := newUpstream(t).Do(context.Background(), c)
		if e := chatError(t, err); e.Status != 400 {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

// OpenAI gives summaries of reasoning to verified organizations alone: others get the answer without.
func TestSummariesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		param string
		asks  int
	}{"the summary": {"reasoning.summary", 2}, "another": {"reasoning.effort", 1}} {
		t.Run(name, func(t *testing.T) {
			var bodies []string
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				var b bytes.Buffer
				_, _ = b.ReadFrom(r.Body)
				bodies = append(bodies, b.String())
				w.Header().Set("Content-Type", "application/json")
				if len(bodies) == 1 {
					w.WriteHeader(http.StatusBadRequest)
					_, _ = w.Write([]byte(`{"error":{"message":"must be verified","type":"invalid_request_error","param":"` + c.param + `","code":"unsupported_value"}}`))
					return
				}
				_, _ = w.Write([]byte(`{"status":"completed","output":[]}`))
			})
			cc := messagesCall(t, base, false)
			cc.Provider.Type, cc.Model = openaiType, "gpt-5"
			p, _ := cc.Request.Translate()
			p.Reasoning = &chat.Reasoning{Budget: 1024}
			cc.Request.Translate = func() (*chat.Prompt, error) { return p, nil }
			_, err := newUpstream(t).Do(context.Background(), cc)
			if len(bodies) != c.asks || (err == nil) != (c.asks == 2) || !strings.Contains(bodies[0], `"summary":"auto"`) || strings.Contains(bodies[len(bodies)-1], "summary") != (c.asks == 1) {
				t.Errorf("%q, %v", bodies, err)
			}
			if p.Reasoning.Summary != "" {
				t.Error("the prompt was changed")
			}
		})
	}
}

func TestDocumentsByURL(t *testing.T) {
	doc := chat.Part{Kind: chat.PartDocument, Media: &chat.Media{URL: "https://d"}}
	for name, c := range map[string]struct {
		kind snapshot.ProviderType
		part chat.Part
		path string
	}{
		"the user's": {openaiType, doc, "/responses"}, "a tool's": {openaiType, result("c", doc), "/responses"},
		"with bytes": {openaiType, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Base64: "AA"}}, "/chat/completions"},
		"Vercel":     {vercel, doc, "/chat/completions"},
	} {
		cc := messagesCall(t, "http://x", false)
		cc.Provider.Type, cc.Model = c.kind, "gpt-4o"
		cc.Request.Translate = func() (*chat.Prompt, error) {
			return &chat.Prompt{Choices: 1, Messages: []chat.Message{say(chat.User, c.part)}}, nil
		}
		x, err := plan(cc)
		if err != nil || x.path != c.path {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
}
