package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sentAsRecorded checks that a request in the provider's own protocol has reached it byte by byte, but for the model and for
// what the gateway needs to count: stream_options. dropped names what it has told the client that the model cannot take.
func (p planned) sentAsRecorded(t *testing.T, sent []byte, dropped string) {
	t.Helper()
	want := setModel(t, p.Request, p.model)
	if bytes.Equal(sent, want) {
		return
	}
	var got, recorded map[string]json.RawMessage
	decode(t, sent, &got)
	decode(t, want, &recorded)
	if string(recorded["stream"]) == "true" {
		delete(got, "stream_options")
		delete(recorded, "stream_options")
	}
	for name := range strings.SplitSeq(dropped, ",") {
		delete(recorded, strings.TrimSpace(name))
		delete(got, strings.TrimSpace(name)) // or it has become another value
	}
	if d := cmp.Diff(texts(recorded), texts(got)); d != "" {
		t.Errorf("the request was changed (-recorded +sent)\n%s", d)
	}
}

func texts(members map[string]json.RawMessage) map[string]string {
	out := map[string]string{}
	for name, value := range members {
		out[name] = string(value)
	}
	return out
}
