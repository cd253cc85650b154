package openai

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func carrying(t testing.TB, id, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return id + "~" + base64.RawURLEncoding.EncodeToString(b.Bytes())
}

func TestBareID(t *testing.T) {
	for id, want := range map[string]string{
		"call_1":                           "call_1",
		carrying(t, "call_1", `{"s":"x"}`): "call_1",
		carrying(t, "a~b", `{"t":[]}`):     "a~b",
		carrying(t, "", `{"s":"x"}`):       carrying(t, "", `{"s":"x"}`),
		"call~1":                           "call~1",
		"call~AAAA":                        "call~AAAA",
		carrying(t, "c", "text"):           carrying(t, "c", "text"),
		carrying(t, "c", "{"):              carrying(t, "c", "{"),
		carrying(t, "c", "{"+strings.Repeat(" ", 1<<20)+"}"): carrying(t, "c", "{"+strings.Repeat(" ", 1<<20)+"}"),
	} {
		if got := bareID(id); got != want {
			t.Errorf("%.40s: got %.40s", id, got)
		}
	}
}

// A conversation that another provider's model began goes on without what its ids carry, with every type of upstream.
func TestIDsGoBare(t *testing.T) {
	id := carrying(t, "call_1", `{"t":[{"x":"t","s":"sig"}]}`)
	body := `{"model":"p","messages":[{"role":"assistant","content":"~","tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{\"id\":\"` + id + `\"}"}}]},{"role":"tool","tool_call_id":"` + id + `","content":"1"}]}`
	want := strings.Replace(body, `"p"`, `"m"`, 1)
	want = strings.Replace(want, `"id":"`+id+`","type"`, `"id":"call_1","type"`, 1)
	want = strings.Replace(want, `"tool_call_id":"`+id+`"`, `"tool_call_id":"call_1"`, 1)
	for _, kind := range []snapshot.ProviderType{snapshot.OpenAI, snapshot.OpenAICompatible, snapshot.Morph, snapshot.VercelAIGateway} {
		if d := cmp.Diff(want, rewritten(t, passing(t, kind, chat.Completions, "m", body))); d != "" {
			t.Error(kind, d)
		}
	}
	const plain = `{"model":"m","messages":[ {"role":"user","content":"~"} ]}`
	if d := cmp.Diff(plain, rewritten(t, passing(t, snapshot.Morph, chat.Completions, "m", plain))); d != "" {
		t.Error(d)
	}
}
