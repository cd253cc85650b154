package openai

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// A stream that is ended before its time finishes each open choice for its length.
func TestStopOfAPassingStream(t *testing.T) {
	chunk := func(choice string) string { return `{"id":"c1","created":7,"model":"m","choices":[` + choice + `]}` }
	head := `data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[`
	finished := func(index string, usage string) string {
		return head + `{"index":` + index + `,"delta":{},"logprobs":null,"finish_reason":"length"}]` + usage + "}\n\n"
	}
	total := chat.Total{Usage: pricing.Usage{Input: 3, Output: 4}, CostUSD: "0.5"}
	for name, c := range map[string]struct {
		usage bool
		seen  []string
		want  []string // parts of the end, in their order; the last ends it
	}{
		"one choice":        {false, []string{chunk(`{"index":0,"delta":{"content":"a"},"finish_reason":null}`)}, []string{finished("0", ""), "data: [DONE]\n\n"}},
		"two, one finished": {false, []string{chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`), chunk(`{"index":1,"delta":{}}`)}, []string{finished("1", ""), "data: [DONE]\n\n"}},
		"with usage": {true, []string{chunk(`{"index":0,"delta":{"content":"a"}}`)}, []string{
			finished("0", `,"usage":null`), `"usage":{"prompt_tokens":3,"completion_tokens":4`, `"cost":0.5`, "data: [DONE]\n\n",
		}},
		"nonsense": {false, []string{`[]`, `{"choices":[7,{"index":-1},{"index":1e9}]}`}, []string{`"finish_reason":"length"`, "data: [DONE]\n\n"}},
	} {
		f := Completions{}.Follow(&chat.Request{IncludeUsage: c.usage})
		for _, data := range c.seen {
			f.Event([]byte(data))
		}
		rest := string(f.Stop(nil, total))
		whole := rest
		for _, want := range c.want {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Errorf("%s: no %q in %s", name, want, whole)
			}
			rest = after
		}
		if d := cmp.Diff("", rest); d != "" {
			t.Errorf("%s: behind the end: %s", name, d)
		}
		if strings.Count(whole, "length") != 1 {
			t.Errorf("%s: %s", name, whole)
		}
	}
}
