package openai

import (
	"context"
	"testing"
)

// Searches have a price of their own: each way to tell them counts, in a unary answer and in a stream.
func TestSearches(t *testing.T) {
	for name, c := range map[string]struct {
		model, usage, message string
		want                  int64
	}{
		"none":         {"gpt-4o", ``, `"content":"a"`, 0},
		"OpenRouter":   {"m", `,"server_tool_use_details":{"web_search_requests":3}`, `"content":"a"`, 3},
		"Anthropic's":  {"m", `,"server_tool_use":{"web_search_requests":2}`, `"content":"a"`, 2},
		"Perplexity's": {"m", `,"num_search_queries":4`, `"content":"a"`, 4},
		"Vercel":       {"m", ``, `"content":"a","provider_metadata":{"gateway":{"billableWebSearchCalls":5}}`, 5},
		"always":       {"gpt-4o-mini-search-preview", ``, `"content":"a"`, 1},
		"nonsense":     {"m", `,"num_search_queries":-4`, `"content":"a","provider_metadata":{"gateway":{"billableWebSearchCalls":"x"}}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			usage := `"usage":{"prompt_tokens":1,"completion_tokens":1` + c.usage + `}`
			unary := answer(t, 200, "application/json", `{"choices":[{"message":{`+c.message+`},"finish_reason":"stop"}],`+usage+`}`)
			stream := answer(t, 200, "text/event-stream", `data: {"choices":[{"delta":{`+c.message+`},"finish_reason":"stop"}]}`+"\n\n"+`data: {"choices":[],`+usage+"}\n\ndata: [DONE]\n\n")
			for _, pass := range []bool{true, false} {
				cc := call(t, unary, plainBody, false)
				if !pass {
					cc = messagesCall(t, unary, false)
				}
				cc.Provider.Type, cc.Model = openaiType, c.model
				got, err := newUpstream(t).Do(context.Background(), cc)
				if err != nil || got.Usage.Searches != c.want {
					t.Errorf("unary, pass %v: %+v, %v", pass, got.Usage, err)
				}
				cc.Provider.BaseURL, cc.Request.Stream = stream, true
				got, err = newUpstream(t).Do(context.Background(), cc)
				if err != nil {
					t.Fatal(err)
				}
				var v viewed
				if pass {
					c, err2 := collect(got.Events)
					v.Usage, err = c.usage, err2
				} else {
					v, err = viewStream(t, got.Events)
				}
				if err != nil || v.Usage.Searches != c.want {
					t.Errorf("stream, pass %v: %+v, %v", pass, v.Usage, err)
				}
				_ = got.Events.Close()
			}
		})
	}
}
