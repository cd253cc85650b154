package anthropic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestSignatureOf(t *testing.T) {
	for want, in := range map[string]chat.Thought{
		"":                                      {Text: "x"},
		"Eq==":                                  {Signature: "Eq==", Format: chat.FormatAnthropic},
		"google-gemini-v1:signature::s":         {Signature: "s", Format: chat.FormatGemini},
		"openai-responses-v1:encrypted:rs_1:e":  {Encrypted: "e", ID: "rs_1", Format: chat.FormatOpenAI},
		"openai-responses-v1:encrypted:a%3Ab:e": {Encrypted: "e", ID: "a:b", Format: chat.FormatOpenAI},
		"unknown:signature::s":                  {Signature: "s"},
		"xai-responses-v1:encrypted::e:f":       {Encrypted: "e:f", Format: "xai-responses-v1"},
	} {
		if got := signatureOf(&in); got != want {
			t.Errorf("%+v: %s, want %s", in, got, want)
		}
	}
	if redacted(&chat.Thought{Encrypted: "e", Format: chat.FormatOpenAI}) || !redacted(&chat.Thought{Encrypted: "e", Format: chat.FormatAnthropic}) {
		t.Error("only Anthropic's are redacted_thinking")
	}
}

// What is no carrier is a signature of Anthropic's, and stays one.
func TestCarried(t *testing.T) {
	for in, want := range map[string]carrier{
		"google-gemini-v1:call::a:b":         {chat.FormatGemini, carryCall, "", "a:b"},
		"google-gemini-v1:text::":            {chat.FormatGemini, carryText, "", ""},
		"unknown:signature:i%25:s":           {"", carrySignature, "i%", "s"},
		"openai-responses-v1:encrypted:r:e=": {chat.FormatOpenAI, carryEncrypted, "r", "e="},
	} {
		got, ok := carried(in)
		if !ok || got != want {
			t.Errorf("%s: %+v %v", in, got, ok)
		}
		if !foreign(in) {
			t.Errorf("%s would go to Anthropic", in)
		}
	}
	for _, in := range []string{"EqQBCkYIBxgC+/==", "a:b", "a:b:c", ":signature::x", "f:other::x", "f:signature:%zz:x"} {
		if got, ok := carried(in); ok {
			t.Errorf("%s: %+v", in, got)
		}
		if foreign(in) {
			t.Errorf("%s would not go to Anthropic", in)
		}
	}
}

// Blocks that are replayed alone, or where they do not belong, lose nothing that can be kept.
func TestThoughtsOutOfPlace(t *testing.T) {
	thinking := func(signature string) string {
		return `{"type":"thinking","thinking":"","signature":"` + signature + `"}`
	}
	const call, text = `{"type":"tool_use","id":"a","name":"f","input":{}}`, `{"type":"text","text":"x"}`
	x := textPart("x")
	for in, want := range map[string][]chat.Part{
		thinking("google-gemini-v1:text::s") + "," + text + "," + text:                                 {{Kind: chat.PartText, Text: "x", Signature: "s"}, x},
		text + "," + thinking("google-gemini-v1:text::s"):                                              {x},
		text + "," + thinking("google-gemini-v1:signature::s"):                                         {x, thoughtPart(chat.Thought{Signature: "s", Format: chat.FormatGemini})},
		text + "," + thinking("google-gemini-v1:call::s"):                                              {x},
		thinking("google-gemini-v1:call::s") + "," + text + "," + call:                                 {x, callPart(chat.ToolCall{ID: "a", Name: "f", Arguments: "{}", Signature: "s"})},
		thinking("google-gemini-v1:call::s") + "," + thinking("google-gemini-v1:call::r") + "," + call: {callPart(chat.ToolCall{ID: "a", Name: "f", Arguments: "{}", Signature: "r"})},
		`{"type":"thinking","thinking":"t","signature":"google-gemini-v1:call::s"},` + call:            {thoughtPart(chat.Thought{Text: "t"}), callPart(chat.ToolCall{ID: "a", Name: "f", Arguments: "{}", Signature: "s"})},
		thinking("") + "," + text:                             {x},
		`{"type":"thinking","thinking":"t"},` + text:          {thoughtPart(chat.Thought{Text: "t"}), x},
		`{"type":"redacted_thinking","data":""},` + text:      {x},
		`{"type":"thinking","thinking":"","signature":"E=="}`: {thoughtPart(chat.Thought{Signature: "E==", Format: chat.FormatAnthropic})},
	} {
		got, err := prompted(t, talk(`{"role":"user","content":"hi"},`+assistant(in)))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff([]chat.Message{hi, {Role: chat.Assistant, Parts: want}}, got.Messages); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}

// A carrier reads back as what was written, whatever is in it.
func FuzzCarrier(f *testing.F) {
	f.Add("google-gemini-v1", "rs_1", "a:b==")
	f.Add("", "%:%", "")
	f.Fuzz(func(t *testing.T, format, id, value string) {
		if strings.Contains(format, ":") {
			return // no format has one
		}
		in := carrier{format, carryEncrypted, id, value}
		got, ok := carried(in.String())
		if format == unknownFormat {
			in.format = ""
		}
		if !ok || got != in {
			t.Fatalf("%+v gives %+v", in, got)
		}
	})
}
