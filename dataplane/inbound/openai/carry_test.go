package openai

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestCarry(t *testing.T) {
	thoughts := []chat.Thought{
		{Text: "first <&>", Signature: "c2lnbmF0dXJl", Format: chat.FormatAnthropic},
		{Text: "unsigned"},
		{Encrypted: "b3BhcXVl", Format: chat.FormatOpenAI, ID: "rs_1"},
	}
	id := carry("toolu_1", thoughts, "c2ln")
	if !strings.HasPrefix(id, "toolu_1~") || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~") != "" {
		t.Errorf("id %q", id)
	}
	bare, c, size := uncarry(id)
	if bare != "toolu_1" || c.Signature != "c2ln" || size == 0 || len(c.Thoughts) != 2 {
		t.Fatalf("%q %+v %d", bare, c, size)
	}
	for i, want := range []chat.Thought{thoughts[0], thoughts[2]} {
		if d := cmp.Diff(want, c.Thoughts[i].thought()); d != "" {
			t.Error(d)
		}
	}
}

// An id carries what fits; the signature of its call is what matters most.
func TestCarryIsBounded(t *testing.T) {
	random := rapid.SliceOfN(rapid.Byte(), maxCarry, maxCarry).Example(1)
	huge := base64.StdEncoding.EncodeToString(random)
	thoughts := []chat.Thought{{Signature: huge}}
	if id := carry("a", thoughts, ""); id != "a" {
		t.Errorf("%d bytes", len(id))
	}
	if _, c, _ := uncarry(carry("a", thoughts, "s")); c.Signature != "s" || len(c.Thoughts) != 0 {
		t.Errorf("%+v", c)
	}
	if id := carry("a", thoughts, huge); id != "a" {
		t.Errorf("%d bytes", len(id))
	}
	// It packs well, and would not be unpacked.
	if id := carry("a", []chat.Thought{{Text: strings.Repeat("x", maxInflated), Signature: "s"}}, ""); id != "a" {
		t.Errorf("%d bytes", len(id))
	}
	if id := carry("a", []chat.Thought{{Text: "no signature"}}, ""); id != "a" {
		t.Errorf("%q", id)
	}
}

// What an id does not carry is a part of it.
func TestUncarryLeavesOtherIDs(t *testing.T) {
	deflated := func(text string) string {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return "a~" + base64.RawURLEncoding.EncodeToString(b.Bytes())
	}
	whole := carry("a", []chat.Thought{{Signature: "s"}}, "")
	for name, id := range map[string]string{
		"empty": "", "plain": "call_1", "mark alone": "~", "a mark at the end": "call_1~", "a mark inside": "a~b", "no base64": "a~b!",
		"no deflate": "a~AAAA", "cut": whole[:len(whole)-2], "no JSON": deflated("x"), "no object": deflated("[]"), "nothing": deflated("{}"),
		"a bomb":   deflated(`{"s":"` + strings.Repeat("x", 1<<20) + `"}`),
		"too long": "a~" + strings.Repeat("A", maxCarry),
	} {
		if bare, c, size := uncarry(id); bare != id || size != 0 || len(c.Thoughts) > 0 || c.Signature != "" {
			t.Errorf("%s: %q, %d bytes", name, clip(bare), size)
		}
	}
}

func TestCarryRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		var thoughts []chat.Thought
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			thoughts = append(thoughts, chat.Thought{
				Text: text.Draw(t, "text"), Signature: "s" + text.Draw(t, "signature"), Format: text.Draw(t, "format"), ID: text.Draw(t, "id"),
			})
		}
		id, signature := rapid.StringMatching(`[a-zA-Z0-9_~-]{1,40}`).Draw(t, "call"), text.Draw(t, "own")
		packed := carry(id, thoughts, signature)
		if len(thoughts) == 0 && signature == "" {
			if packed != id {
				t.Fatal(packed)
			}
			return
		}
		bare, c, _ := uncarry(packed)
		var got []chat.Thought
		for _, th := range c.Thoughts {
			got = append(got, th.thought())
		}
		if d := cmp.Diff(thoughts, got); d != "" || bare != id || c.Signature != signature {
			t.Fatal(bare, c.Signature, d)
		}
	})
}

// FuzzUncarry reads any id, and one that carries any text: what is taken out of it is what the text says, or nothing.
func FuzzUncarry(f *testing.F) {
	f.Add(carry("a", []chat.Thought{{Text: "t", Signature: "s"}}, "x"), `{"t":[{"x":"t","s":"s"}],"s":"x"}`)
	f.Add("a~b~c", `{}`)
	f.Fuzz(func(t *testing.T, id, text string) {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestSpeed)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		made := id + "~" + base64.RawURLEncoding.EncodeToString(b.Bytes())
		for _, id := range []string{id, made} {
			bare, c, size := uncarry(id)
			if size == 0 {
				if bare != id || len(c.Thoughts) > 0 || c.Signature != "" {
					t.Fatal("changed an id that carries nothing")
				}
				continue
			}
			if size > maxInflated || !strings.HasPrefix(id, bare+"~") || len(c.Thoughts) == 0 && c.Signature == "" {
				t.Fatal(bare, size)
			}
		}
		var want carried
		carries := json.Unmarshal([]byte(text), &want) == nil && (len(want.Thoughts) > 0 || want.Signature != "") && len(made) <= maxCarry && len(text) <= maxInflated
		bare, got, _ := uncarry(made)
		if carries != (bare == id && bare != made) || carries && cmp.Diff(want, got) != "" {
			t.Fatalf("%q is read as %q, %+v", text, bare, got)
		}
	})
}

// What ids carried is named where the body passes without it, unless an upstream can take it from elsewhere.
func TestCarriedThoughtsAreNamed(t *testing.T) {
	id := carry("c", []chat.Thought{{Signature: "s", Format: chat.FormatAnthropic}}, "")
	for more, want := range map[string][]string{"": {"reasoning_details"}, `,"reasoning_details":[]`: nil} {
		r, err := Parse("r", []byte(`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null`+more+
			`,"tool_calls":[{"id":"`+id+`","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"`+id+`","content":"r"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, r.Dropped); d != "" {
			t.Error(d)
		}
	}
}
