package anthropic

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func gives(parts ...chat.Part) chat.Message { return chat.Message{Role: chat.User, Parts: parts} }

func does(parts ...chat.Part) chat.Message { return chat.Message{Role: chat.Assistant, Parts: parts} }

func words(s string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s} }

func calls(id, arguments string) chat.Part {
	return chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: "f", Arguments: arguments}}
}

func result(id, text string) chat.Part {
	return chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: id, Parts: []chat.Part{words(text)}}}
}

func thinks1(text, signature, format string) chat.Part {
	return chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Text: text, Signature: signature, Format: format}}
}

// short writes a conversation in few words: role[block|block].
func short(t *testing.T, request map[string]any) string {
	t.Helper()
	var one func(v any) string
	one = func(v any) string {
		b := v.(map[string]any)
		out := ""
		switch b["type"] {
		case "text":
			out = b["text"].(string)
		case "thinking":
			out = "(" + b["thinking"].(string) + "/" + b["signature"].(string) + ")"
		case "redacted_thinking":
			out = "(#" + b["data"].(string) + ")"
		case "tool_use":
			out = b["name"].(string) + ":" + b["id"].(string) + member(t, b, "input")
		case "tool_result":
			out = "=" + b["tool_use_id"].(string)
			list, _ := b["content"].([]any)
			for _, c := range list {
				out += " " + one(c)
			}
			if b["is_error"] == true {
				out += "!"
			}
		default:
			out = member(t, map[string]any{"": v}, "")
		}
		if _, ok := b["cache_control"]; ok {
			out += "*"
		}
		return out
	}
	out := ""
	join := func(role string, content any) {
		out += role + "["
		for i, b := range content.([]any) {
			if i > 0 {
				out += "|"
			}
			out += one(b)
		}
		out += "] "
	}
	if s, ok := request["system"]; ok {
		join("system", s)
		out = "top-" + out
	}
	for _, m := range request["messages"].([]any) {
		join(m.(map[string]any)["role"].(string), m.(map[string]any)["content"])
	}
	return out[:len(out)-1]
}

func TestConversation(t *testing.T) {
	for name, c := range map[string]struct {
		model    string
		messages []chat.Message
		want     string
		dropped  []string
	}{
		"roles merge": {recent, []chat.Message{says(chat.User, "a"), says(chat.User, "b"), says(chat.Assistant, "c"), says(chat.Assistant, "d"), says(chat.User, "e")},
			"user[a|b] assistant[c|d] user[e]", nil},
		"system first":      {recent, []chat.Message{says(chat.System, "s", "t"), says(chat.System, "u"), says(chat.User, "a")}, "top-system[s|t|u] user[a]", nil},
		"system alone":      {recent, []chat.Message{says(chat.System, "s")}, "user[s]", nil},
		"empty texts":       {recent, []chat.Message{says(chat.System, ""), says(chat.User, "", "a", " \n"), says(chat.Assistant, ""), says(chat.User, "b")}, "user[a|b]", nil},
		"system later":      {recent, []chat.Message{says(chat.User, "a"), says(chat.System, "s"), says(chat.System, "t"), says(chat.Assistant, "b"), says(chat.User, "c")}, "user[a] system[s|t] assistant[b] user[c]", nil},
		"system before":     {recent, []chat.Message{says(chat.User, "a"), says(chat.Assistant, "b"), says(chat.System, "s"), says(chat.User, "c")}, "user[a] assistant[b] user[c] system[s]", nil},
		"system, no user":   {recent, []chat.Message{says(chat.User, "a"), says(chat.Assistant, "b"), says(chat.System, "s")}, "user[a] assistant[b] user[s]", nil},
		"system later, old": {haiku, []chat.Message{says(chat.User, "a"), says(chat.Assistant, "b"), says(chat.System, "s"), says(chat.User, "c")}, "user[a] assistant[b] user[s|c]", nil},
		"system, silence":   {recent, []chat.Message{says(chat.User, "a"), says(chat.System, "s"), says(chat.Assistant, ""), says(chat.User, "c")}, "user[a|c] system[s]", nil},
		"two systems": {recent, []chat.Message{says(chat.User, "a"), says(chat.System, "s"), says(chat.Assistant, " "), says(chat.User, "c"), says(chat.System, "t")},
			"user[a|c] system[s|t]", nil},
		"prefill":     {haiku, []chat.Message{says(chat.User, "a"), says(chat.Assistant, "I say \n")}, "user[a] assistant[I say]", nil},
		"refusal":     {recent, []chat.Message{says(chat.User, "a"), does(chat.Part{Kind: chat.PartRefusal, Text: "no"}), says(chat.User, "b")}, "user[a] assistant[no] user[b]", nil},
		"tool":        {recent, []chat.Message{says(chat.User, "a"), does(words("w"), calls("c1", `{"x": 1}`)), gives(result("c1", "r"))}, `user[a] assistant[w|f:c1{"x":1}] user[=c1 r]`, nil},
		"no argument": {recent, []chat.Message{says(chat.User, "a"), does(calls("c1", "")), gives(result("c1", ""))}, `user[a] assistant[f:c1{}] user[=c1]`, nil},
		"results in order": {recent, []chat.Message{says(chat.User, "a"), does(calls("c1", ""), calls("c2", ""), calls("c3", "")), gives(result("c3", "3")), gives(words("and"), result("c1", "1")), gives(result("c2", "2"), words("so?"))},
			`user[a] assistant[f:c1{}|f:c2{}|f:c3{}] user[=c1 1|=c2 2|=c3 3|and|so?]`, nil},
		"system amid results": {recent, []chat.Message{says(chat.User, "a"), does(calls("c1", "")), says(chat.System, "s"), gives(result("c1", "1"))},
			`user[a] assistant[f:c1{}] user[=c1 1] system[s]`, nil},
		"ids": {recent, []chat.Message{says(chat.User, "a"), does(calls("call:1.x", ""), calls("call_1_x", "")), gives(result("call_1_x", "2"), result("call:1.x", "1"))},
			`user[a] assistant[f:call_1_x{}|f:call_1_x_2{}] user[=call_1_x 1|=call_1_x_2 2]`, nil},
		"ids again": {recent, []chat.Message{says(chat.User, "a"), does(calls("0", "")), gives(result("0", "x")), does(calls("0", "")), gives(result("0", "y"))},
			`user[a] assistant[f:0{}] user[=0 x] assistant[f:0_2{}] user[=0_2 y]`, nil},
		"id of nothing": {recent, []chat.Message{says(chat.User, "a"), does(calls("", "")), gives(result("", "x"))}, `user[a] assistant[f:call{}] user[=call x]`, nil},
		"failed": {recent, []chat.Message{says(chat.User, "a"), does(calls("c1", "")), gives(chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: "c1", Failed: true}})},
			`user[a] assistant[f:c1{}] user[=c1!]`, nil},
		"image in a result": {recent, []chat.Message{says(chat.User, "a"), does(calls("c1", "")), gives(chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: "c1", Parts: []chat.Part{
			words("see"), {Kind: chat.PartImage, Media: &chat.Media{URL: "https://a.example/i.png"}}}}})},
			`user[a] assistant[f:c1{}] user[=c1 see {"source":{"type":"url","url":"https://a.example/i.png"},"type":"image"}]`, nil},
		"custom tool": {recent, []chat.Message{says(chat.User, "a"), does(chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "f", Arguments: "a \"b\"", Custom: true}}), gives(result("c", "x"))},
			`user[a] assistant[f:c{"input":"a \"b\""}] user[=c x]`, nil},
		"thoughts": {recent, []chat.Message{says(chat.User, "a"), does(thinks1("t", "s", chat.FormatAnthropic), chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Encrypted: "e", Format: chat.FormatAnthropic}}, words("w")), says(chat.User, "b")},
			"user[a] assistant[(t/s)|(#e)|w] user[b]", nil},
		"hidden thought": {recent, []chat.Message{says(chat.User, "a"), does(thinks1("", "s", chat.FormatAnthropic), words("w")), says(chat.User, "b")}, "user[a] assistant[(/s)|w] user[b]", nil},
		"thoughts go first": {recent, []chat.Message{says(chat.User, "a"), does(words("w"), thinks1("t", "s", chat.FormatAnthropic), calls("c", "")), gives(result("c", "r"))},
			"user[a] assistant[(t/s)|w|f:c{}] user[=c r]", nil},
		"thoughts between": {recent, []chat.Message{says(chat.User, "a"), does(thinks1("t", "s", chat.FormatAnthropic), words("w"), thinks1("u", "v", chat.FormatAnthropic), calls("c", "")), gives(result("c", "r"))},
			"user[a] assistant[(t/s)|w|(u/v)|f:c{}] user[=c r]", nil},
		"foreign thoughts": {recent, []chat.Message{says(chat.User, "a"), does(thinks1("t", "s", chat.FormatGemini), thinks1("u", "v", ""), chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Encrypted: "e", Format: chat.FormatOpenAI}}, words("w")), says(chat.User, "b")},
			"user[a] assistant[w] user[b]", []string{"reasoning_details"}},
		"thought without signature": {recent, []chat.Message{says(chat.User, "a"), does(thinks1("t", "", ""), words("w")), says(chat.User, "b")}, "user[a] assistant[w] user[b]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, dropped := built(t, c.model, &chat.Prompt{Choices: 1, Messages: c.messages})
			if s := short(t, got); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
			if d := cmp.Diff(c.dropped, dropped); d != "" {
				t.Error("dropped:", d)
			}
		})
	}
}

// A model with budgets does not begin to think in the middle of a turn.
func TestThinkingInATurn(t *testing.T) {
	signed := thinks1("t", "s", chat.FormatAnthropic)
	for name, c := range map[string]struct {
		model    string
		messages []chat.Message
		thinks   bool
	}{
		"tool turn without":        {haiku, []chat.Message{says(chat.User, "a"), does(calls("c", "")), gives(result("c", "r"))}, false},
		"tool turn with":           {haiku, []chat.Message{says(chat.User, "a"), does(signed, calls("c", "")), gives(result("c", "r"))}, true},
		"second step without":      {haiku, []chat.Message{says(chat.User, "a"), does(signed, calls("c", "")), gives(result("c", "r")), does(calls("d", "")), gives(result("d", "r"))}, true},
		"earlier turn without":     {haiku, []chat.Message{says(chat.User, "a"), does(calls("c", "")), gives(result("c", "r")), says(chat.Assistant, "x"), says(chat.User, "b")}, true},
		"foreign thought":          {haiku, []chat.Message{says(chat.User, "a"), does(thinks1("t", "s", chat.FormatOpenAI), calls("c", "")), gives(result("c", "r"))}, false},
		"adaptive does not mind":   {middle, []chat.Message{says(chat.User, "a"), does(calls("c", "")), gives(result("c", "r"))}, true},
		"prefill without thinking": {haiku, []chat.Message{says(chat.User, "a"), says(chat.Assistant, "I")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, dropped := built(t, c.model, &chat.Prompt{Choices: 1, Messages: c.messages, Reasoning: &chat.Reasoning{Effort: "low"}})
			_, thinks := got["thinking"]
			told := len(dropped) > 0 && dropped[len(dropped)-1] == "reasoning_effort"
			if thinks != c.thinks || told == c.thinks {
				t.Errorf("thinking %v, dropped %v", got["thinking"], dropped)
			}
		})
	}
}
