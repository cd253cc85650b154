package gemini

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Models of the generations.
const (
	second25 = "gemini-2.5-flash"
	third35  = "gemini-3.5-flash"
	fourth   = "gemini-4-argon"
)

func said(s string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s} }

func user(parts ...chat.Part) chat.Message { return chat.Message{Role: chat.User, Parts: parts} }

func assistant(parts ...chat.Part) chat.Message {
	return chat.Message{Role: chat.Assistant, Parts: parts}
}

func system(s string) chat.Message {
	return chat.Message{Role: chat.System, Parts: []chat.Part{said(s)}}
}

func calls(id, name, args, signature string) chat.Part {
	return chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: name, Arguments: args, Signature: signature}}
}

func answers(id, name string, parts ...chat.Part) chat.Part {
	return chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: id, Name: name, Parts: parts}}
}

func thinks(th chat.Thought) chat.Part { return chat.Part{Kind: chat.PartThought, Thought: &th} }

func image(m chat.Media) chat.Part { return chat.Part{Kind: chat.PartImage, Media: &m} }

// request builds and parses the request of a prompt.
func requestOf(t *testing.T, model string, p *chat.Prompt) (object, *built) {
	t.Helper()
	b, err := build(call("", model, p, false), p)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, b.body), b
}

// contentsOf is what a conversation becomes: the contents and the systemInstruction.
func contentsOf(t *testing.T, model string, messages ...chat.Message) (contents, instruction any, b *built) {
	t.Helper()
	o, b := requestOf(t, model, &chat.Prompt{Choices: 1, Messages: messages})
	return o["contents"], o["systemInstruction"], b
}

func jsonValue(t *testing.T, text string) any {
	t.Helper()
	return parsed(t, []byte(`{"v":`+text+`}`))["v"]
}

func TestContents(t *testing.T) {
	for name, c := range map[string]struct {
		model    string
		messages []chat.Message
		want     string
	}{
		"same roles merge": {third35, []chat.Message{user(said("a")), user(said("b")), assistant(said("c")), assistant(said("d"))},
			`[{"role":"user","parts":[{"text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"c"},{"text":"d"}]}]`},
		"empty texts go, signed ones stay": {third35, []chat.Message{user(said(""), said("a")), assistant(chat.Part{Kind: chat.PartText, Signature: "s"})},
			`[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"","thoughtSignature":"s"}]}]`},
		"a late instruction stays where it is": {third35, []chat.Message{user(said("a")), system("b"), assistant(said("c"))},
			`[{"role":"user","parts":[{"text":"a"},{"text":"b"}]},{"role":"model","parts":[{"text":"c"}]}]`},
		"ids of the model go back": {third35, []chat.Message{user(said("a")), assistant(calls("x1", "f", `{"n":1}`, "s")), user(answers("x1", "f", said("r")))},
			`[{"role":"user","parts":[{"text":"a"}]},
			{"role":"model","parts":[{"functionCall":{"id":"x1","name":"f","args":{"n":1}},"thoughtSignature":"s"}]},
			{"role":"user","parts":[{"functionResponse":{"id":"x1","name":"f","response":{"result":"r"}}}]}]`},
		"ids made up here do not": {third35, []chat.Message{assistant(calls(zeroID, "f", "", "s")), user(answers(zeroID, "f", said("r")))},
			`[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"s"}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"r"}}}]}]`},
		"nor any to a model without ids": {second25, []chat.Message{assistant(calls("toolu_1", "f", " {} ", "")), user(answers("toolu_1", "f", said("r")))},
			`[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"r"}}}]}]`},
		"a lost signature is skipped, on the first call of a group alone": {third35, []chat.Message{
			assistant(said("t"), calls("1", "f", "{}", ""), calls("2", "g", "{}", "")), user(answers("1", "f", said("r")), answers("2", "g", said("r"))), assistant(calls("3", "h", "{}", ""))},
			`[{"role":"model","parts":[{"text":"t"},{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"id":"2","name":"g","args":{}}}]},
			{"role":"user","parts":[{"functionResponse":{"id":"1","name":"f","response":{"result":"r"}}},{"functionResponse":{"id":"2","name":"g","response":{"result":"r"}}}]},
			{"role":"model","parts":[{"functionCall":{"id":"3","name":"h","args":{}},"thoughtSignature":"skip_thought_signature_validator"}]}]`},
		"results come first, in the order of their calls, and alone": {second25, []chat.Message{
			assistant(calls("1", "f", "{}", ""), calls("2", "f", "{}", "")), user(said("and?"), answers("2", "f", said("two"))), user(answers("1", "f", said("one")))},
			`[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"two"}}}]},
			{"role":"user","parts":[{"text":"and?"}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"one"}}}]}]`},
		"results of several messages are one content": {second25, []chat.Message{
			assistant(calls("1", "f", "{}", ""), calls("2", "f", "{}", "")), user(answers("2", "f", said("two"))), user(answers("1", "f", said("one")), said("and?"))},
			`[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":{}}}]},
			{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"one"}}},{"functionResponse":{"name":"f","response":{"result":"two"}}}]},
			{"role":"user","parts":[{"text":"and?"}]}]`},
		"a model that shows files": {second25, []chat.Message{assistant(image(chat.Media{Type: "image/jpg", Base64: "AAAA"}))},
			`[{"role":"model","parts":[{"inlineData":{"mimeType":"image/jpeg","data":"AAAA"}}]}]`},
		"a custom tool's text is its input": {second25, []chat.Message{assistant(chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{Name: "sh", Arguments: `ls "<a>"`, Custom: true}})},
			`[{"role":"model","parts":[{"functionCall":{"name":"sh","args":{"input":"ls \"<a>\""}}}]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, _ := contentsOf(t, c.model, c.messages...)
			if d := cmp.Diff(jsonValue(t, c.want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestInstructions(t *testing.T) {
	for name, c := range map[string]struct {
		model                string
		messages             []chat.Message
		contents, instructed string
	}{
		"before the conversation": {third35, []chat.Message{system("a"), system("b"), user(said("c"))}, `[{"role":"user","parts":[{"text":"c"}]}]`, `{"parts":[{"text":"a"},{"text":"b"}]}`},
		"nothing else":            {third35, []chat.Message{system("a")}, `[{"role":"user","parts":[{"text":"a"}]}]`, `null`},
		"a model that has none":   {"gemma-3-27b-it", []chat.Message{system("a"), user(said("c"))}, `[{"role":"user","parts":[{"text":"a"},{"text":"c"}]}]`, `null`},
		"before the model speaks": {"gemma-3-27b-it", []chat.Message{system("a"), assistant(said("c"))}, `[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"c"}]}]`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			contents, instruction, _ := contentsOf(t, c.model, c.messages...)
			if d := cmp.Diff([]any{jsonValue(t, c.contents), jsonValue(t, c.instructed)}, []any{contents, instruction}); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestThoughts(t *testing.T) {
	const g = chat.FormatGemini
	for name, c := range map[string]struct {
		parts   []chat.Part
		want    string
		dropped []string
	}{
		"signed by Gemini": {[]chat.Part{thinks(chat.Thought{Text: "hm", Signature: "s", Format: g}), said("a")},
			`[{"text":"hm","thought":true,"thoughtSignature":"s"},{"text":"a"}]`, nil},
		"of nobody": {[]chat.Part{thinks(chat.Thought{Text: "hm"}), said("a")}, `[{"text":"hm","thought":true},{"text":"a"}]`, nil},
		"empty":     {[]chat.Part{thinks(chat.Thought{}), said("a")}, `[{"text":"a"}]`, nil},
		"another's": {[]chat.Part{thinks(chat.Thought{Text: "hm", Signature: "s", Format: chat.FormatAnthropic}), said("a")}, `[{"text":"a"}]`, []string{"reasoning_details"}},
		"signed by who knows": {[]chat.Part{thinks(chat.Thought{Text: "hm", Signature: "s"}), said("a")},
			`[{"text":"a"}]`, []string{"reasoning_details"}},
		"another's, encrypted": {[]chat.Part{thinks(chat.Thought{Encrypted: "s", Format: chat.FormatOpenAI}), said("a")}, `[{"text":"a"}]`, []string{"reasoning_details"}},
		"a signature before the text is the text's": {[]chat.Part{thinks(chat.Thought{Encrypted: "s", Format: g}), said("a")},
			`[{"text":"a","thoughtSignature":"s"}]`, nil},
		"a signature behind the text stays there": {[]chat.Part{said("a"), thinks(chat.Thought{Signature: "s", Format: g})},
			`[{"text":"a"},{"text":"","thoughtSignature":"s"}]`, nil},
		"a signature is the first call's": {[]chat.Part{thinks(chat.Thought{Signature: "s", Format: g}), said("a"), calls("1", "f", "{}", ""), calls("2", "f", "{}", "")},
			`[{"text":"a"},{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"s"},{"functionCall":{"id":"2","name":"f","args":{}}}]`, nil},
		"or that of the call that it names": {[]chat.Part{calls("1", "f", "{}", "s1"), calls("2", "f", "{}", ""), thinks(chat.Thought{Signature: "s2", Format: g, ID: "2"})},
			`[{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"s1"},{"functionCall":{"id":"2","name":"f","args":{}},"thoughtSignature":"s2"}]`, nil},
		"one that the call has is told once": {[]chat.Part{thinks(chat.Thought{Signature: "s", Format: g, ID: "1"}), calls("1", "f", "{}", "s"), said("a")},
			`[{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"s"},{"text":"a"}]`, nil},
		"a call behind it takes it": {[]chat.Part{calls("1", "f", "{}", ""), thinks(chat.Thought{Signature: "s", Format: g})},
			`[{"functionCall":{"id":"1","name":"f","args":{}},"thoughtSignature":"s"}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			contents, _, b := contentsOf(t, third35, assistant(c.parts...))
			if d := cmp.Diff(jsonValue(t, `[{"role":"model","parts":`+c.want+`}]`), contents); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.dropped, b.dropped, nilIsEmpty); d != "" || len(b.unsupported) > 0 {
				t.Error(d, b.unsupported)
			}
		})
	}
}

var nilIsEmpty = cmp.Transformer("len0", func(s []string) []string { return append([]string{}, s...) })

func TestRefusedConversations(t *testing.T) {
	for name, messages := range map[string][]chat.Message{
		"nothing at all":      {},
		"nothing but empty":   {user(said(""))},
		"broken arguments":    {assistant(calls("1", "f", `{"a"`, ""))},
		"arguments of a list": {assistant(calls("1", "f", `[]`, ""))},
		"a result of no call": {user(answers("1", "", said("r")))},
	} {
		p := &chat.Prompt{Choices: 1, Messages: messages}
		_, err := build(call("", third35, p, false), p)
		if e := chatError(t, err); e.Status != 400 || e.Type != "invalid_request_error" || e.Param != "messages" {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}
