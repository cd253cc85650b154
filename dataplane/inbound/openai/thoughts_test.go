package openai

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestDecodeThoughts(t *testing.T) {
	anthropic := chat.Thought{Text: "hm", Signature: "sig", Format: chat.FormatAnthropic}
	redacted := chat.Thought{Encrypted: "enc", Format: chat.FormatAnthropic}
	openAI := chat.Thought{Text: "sum", Encrypted: "enc", Format: chat.FormatOpenAI, ID: "rs_1"}
	for name, c := range map[string]struct {
		members string
		want    []chat.Part
	}{
		"reasoning_content": {`"reasoning_content":"hm"`, []chat.Part{thought(chat.Thought{Text: "hm"}), text("a")}},
		"reasoning":         {`"reasoning":"hm"`, []chat.Part{thought(chat.Thought{Text: "hm"}), text("a")}},
		"both":              {`"reasoning":"hm","reasoning_content":"hm"`, []chat.Part{thought(chat.Thought{Text: "hm"}), text("a")}},
		"empty":             {`"reasoning":"","reasoning_content":null,"reasoning_details":[],"thinking_blocks":[]`, []chat.Part{text("a")}},
		"signed text":       {`"reasoning":"other","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1","index":0}]`, []chat.Part{thought(anthropic), text("a")}},
		"signed and redacted": {`"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1","index":0},{"type":"reasoning.encrypted","data":"enc","format":"anthropic-claude-v1","index":1}]`,
			[]chat.Part{thought(anthropic), thought(redacted), text("a")}},
		"redacted does not join": {`"reasoning_details":[{"type":"reasoning.text","text":"hm"},{"type":"reasoning.encrypted","data":"enc","format":"anthropic-claude-v1"}]`,
			[]chat.Part{thought(chat.Thought{Text: "hm"}), thought(redacted), text("a")}},
		"pieces of a stream": {`"reasoning_details":[{"type":"reasoning.text","text":"h","index":0},{"type":"reasoning.text","text":"m","index":0},{"type":"reasoning.text","signature":"sig","format":"anthropic-claude-v1","index":0},{"type":"reasoning.text","text":"next","index":1}]`,
			[]chat.Part{thought(anthropic), thought(chat.Thought{Text: "next"}), text("a")}},
		"signed closes": {`"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1","index":0},{"type":"reasoning.text","text":"next","index":0}]`,
			[]chat.Part{thought(anthropic), thought(chat.Thought{Text: "next"}), text("a")}},
		"summary and encrypted": {`"reasoning_details":[{"format":"openai-responses-v1","index":0,"summary":"sum","type":"reasoning.summary"},{"data":"enc","format":"openai-responses-v1","id":"rs_1","index":0,"type":"reasoning.encrypted"}]`,
			[]chat.Part{thought(openAI), text("a")}},
		"two items of OpenAI's": {`"reasoning_details":[{"format":"openai-responses-v1","id":"rs_1","index":0,"summary":"sum","type":"reasoning.summary"},{"data":"enc2","format":"openai-responses-v1","id":"rs_2","index":0,"type":"reasoning.encrypted"}]`,
			[]chat.Part{thought(chat.Thought{Text: "sum", Format: chat.FormatOpenAI, ID: "rs_1"}), thought(chat.Thought{Encrypted: "enc2", Format: chat.FormatOpenAI, ID: "rs_2"}), text("a")}},
		"nothing but a type": {`"reasoning_details":[{"type":"reasoning.encrypted","format":"google-gemini-v1"},{"type":"reasoning.encrypted"},{"type":"reasoning.unknown","text":"x"}],"reasoning":"hm"`, []chat.Part{thought(chat.Thought{Text: "hm"}), text("a")}},
		"Gemini's signature of the text": {`"reasoning_details":[{"type":"reasoning.text","text":"hm","format":"google-gemini-v1"},{"type":"reasoning.encrypted","data":"g","format":"google-gemini-v1"}]`,
			[]chat.Part{thought(chat.Thought{Text: "hm", Format: chat.FormatGemini}), {Kind: chat.PartText, Text: "a", Signature: "g"}}},
		"LiteLLM's blocks": {`"reasoning_content":"hm","thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"enc"}]`,
			[]chat.Part{thought(anthropic), thought(redacted), text("a")}},
		"parts of the content": {`"content":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"text","text":"a"}],"reasoning":"hm"`, []chat.Part{thought(anthropic), text("a")}},
		"a part of reasoning":  {`"content":[{"type":"reasoning","text":"hm"},{"type":"text","text":"a"}]`, []chat.Part{thought(chat.Thought{Text: "hm"}), text("a")}},
	} {
		t.Run(name, func(t *testing.T) {
			p := translate(t, messagesOf(`{"role":"user","content":"x"},{"role":"assistant","content":"a",`+c.members+`}`))
			if d := cmp.Diff(c.want, p.Messages[1].Parts); d != "" {
				t.Error(d)
			}
		})
	}
}

// Signatures of calls come back in the details, the call or its id.
func TestDecodeSignedCalls(t *testing.T) {
	sig := func(id, signature string) chat.Part {
		p := called(id, "f", "{}")
		p.Call.Signature = signature
		return p
	}
	const google = `"extra_content":{"google":{"thought_signature":"x"}}`
	th := chat.Thought{Text: "hm", Signature: "sig", Format: chat.FormatAnthropic}
	th2 := chat.Thought{Encrypted: "enc", Format: chat.FormatOpenAI, ID: "rs_2"}
	first, second := carry("a", []chat.Thought{th}, "ga"), carry("b", []chat.Thought{th2}, "gb")
	for name, c := range map[string]struct {
		a, b    string
		more    string // of the first call
		members string
		want    []chat.Part
	}{
		"nothing":                   {"a", "b", "", "", []chat.Part{sig("a", ""), sig("b", "")}},
		"in the ids":                {first, second, "", "", []chat.Part{thought(th), sig("a", "ga"), thought(th2), sig("b", "gb")}},
		"ids and plain reasoning":   {first, "b", "", `"reasoning":"hm",`, []chat.Part{thought(th), sig("a", "ga"), sig("b", "")}},
		"ids and text":              {first, second, "", `"content":"t",`, []chat.Part{thought(th), text("t"), sig("a", "ga"), thought(th2), sig("b", "gb")}},
		"details win":               {first, second, "", `"reasoning_details":[{"type":"reasoning.text","text":"other","signature":"s2","format":"anthropic-claude-v1"}],`, []chat.Part{thought(chat.Thought{Text: "other", Signature: "s2", Format: chat.FormatAnthropic}), sig("a", "ga"), sig("b", "gb")}},
		"details in their places":   {first, second, "", `"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1"},{"type":"reasoning.encrypted","data":"enc","id":"rs_2","format":"openai-responses-v1"}],`, []chat.Part{thought(th), sig("a", "ga"), thought(th2), sig("b", "gb")}},
		"the last piece of a text":  {first, "b", "", `"reasoning_content":"m","reasoning_details":[{"type":"reasoning.text","signature":"sig","format":"anthropic-claude-v1"}],`, []chat.Part{thought(th), sig("a", "ga"), sig("b", "")}},
		"Google's wins":             {first, "b", "," + google, "", []chat.Part{thought(th), sig("a", "x"), sig("b", "")}},
		"Vercel's":                  {"a", "b", "", `"reasoning_details":[{"type":"reasoning.encrypted","data":"g","format":"google-gemini-v1","index":0}],`, []chat.Part{sig("a", "g"), sig("b", "")}},
		"OpenRouter's":              {"a", "b", "", `"reasoning_details":[{"type":"reasoning.encrypted","data":"g","id":"b","format":"google-gemini-v1","index":0}],`, []chat.Part{sig("a", ""), sig("b", "g")}},
		"known already":             {"a", "b", "," + google, `"reasoning_details":[{"type":"reasoning.encrypted","data":"x","format":"google-gemini-v1","index":0}],`, []chat.Part{sig("a", "x"), sig("b", "")}},
		"of the content":            {"a", "b", "," + google, `"content":"t","reasoning_details":[{"type":"reasoning.encrypted","data":"y","id":"content","format":"google-gemini-v1"}],`, []chat.Part{{Kind: chat.PartText, Text: "t", Signature: "y"}, sig("a", "x"), sig("b", "")}},
		"of the content, in the id": {carry("a", []chat.Thought{ofContent("y")}, "x"), "b", "", `"content":"t","reasoning":"hm",`, []chat.Part{thought(chat.Thought{Text: "hm"}), {Kind: chat.PartText, Text: "t", Signature: "y"}, sig("a", "x"), sig("b", "")}},
		"of nothing":                {"a", "b", "," + google, `"reasoning_details":[{"type":"reasoning.encrypted","data":"z","format":"google-gemini-v1"}],`, []chat.Part{thought(chat.Thought{Encrypted: "z", Format: chat.FormatGemini}), sig("a", "x"), sig("b", "")}},
		"broken":                    {first[:len(first)-3], "b", "", `"reasoning":"hm",`, []chat.Part{thought(chat.Thought{Text: "hm"}), sig(first[:len(first)-3], ""), sig("b", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			in := messagesOf(`{"role":"assistant",` + c.members + `"tool_calls":[{"id":"` + c.a + `","type":"function","function":{"name":"f","arguments":"{}"}` + c.more + `},{"id":"` + c.b + `","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
				`{"role":"tool","tool_call_id":"` + c.b + `","content":"2"},{"role":"tool","tool_call_id":"` + c.a + `","content":"1"}`)
			p := translate(t, in)
			if d := cmp.Diff(c.want, p.Messages[0].Parts); d != "" {
				t.Error(d)
			}
			last := c.want[len(c.want)-1].Call.ID
			results := p.Messages[1].Parts
			if len(results) != 2 || results[1].Result.ID != last || results[1].Result.Parts[0].Text != "2" || results[0].Result.Parts[0].Text != "1" {
				t.Errorf("%+v", results)
			}
		})
	}
}

// Upstreams of the protocol get the ids without what they carried, and every other byte as it was; what was carried counts
// as input.
func TestParseTakesWhatIDsCarry(t *testing.T) {
	id := carry("a/é", []chat.Thought{{Text: strings.Repeat("long ", 1000), Signature: "s"}}, "")
	const form = "{ \"model\":\"m\",\n\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[ {\"id\" : \"ID\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}, {\"id\":\"b~c\"}]},{\"content\":\"ID\",\"tool_call_id\":\"ID\" }],\"x\":\"~\"}"
	in := strings.ReplaceAll(form, "ID", id)
	r, bad := Parse("", append(make([]byte, 0, 100_000), in...)) // a body may have room behind it
	if bad != nil {
		t.Fatal(bad)
	}
	want := strings.Replace(strings.ReplaceAll(form, "ID", "a/é"), `"content":"a/é"`, `"content":"`+id+`"`, 1)
	if d := cmp.Diff(want, string(r.Body)); d != "" {
		t.Error(d)
	}
	if got := string(r.Fields.Value(r.Body, "x")); got != `"~"` {
		t.Errorf("fields of the old body: %s", got)
	}
	if r.InputBytes < int64(len(in))+2*5000 {
		t.Errorf("%d input bytes", r.InputBytes)
	}
	plain, bad := Parse("", []byte(strings.ReplaceAll(form, "ID", "a~b")))
	if bad != nil || string(plain.Body) != strings.ReplaceAll(form, "ID", "a~b") {
		t.Error(bad)
	}
}
