package openai

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// What asks for another price gets the one that there is; every other byte stays, also where ids carry thoughts before it
// and behind it.
func TestEvened(t *testing.T) {
	id := carry("call_1", []chat.Thought{{Signature: "s", Format: chat.FormatAnthropic}}, "")
	messages := `"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"` + id + `","content":"x"}]`
	bare := strings.ReplaceAll(messages, id, "call_1")
	for name, c := range map[string]struct {
		body, want string
		dropped    []string
	}{
		"flex":      {`{"model":"m", "service_tier" : "flex" ,"messages":[{"role":"user","content":"hi"}]}`, `{"model":"m", "service_tier" : "default" ,"messages":[{"role":"user","content":"hi"}]}`, []string{"service_tier"}},
		"standard":  {`{"model":"m","service_tier":"auto","messages":[{"role":"user","content":"hi"}]}`, "", nil},
		"both":      {`{"service_tier":"priority","return_images":true,"model":"m","messages":[{"role":"user","content":"hi"}]}`, `{"service_tier":"default","return_images":false,"model":"m","messages":[{"role":"user","content":"hi"}]}`, []string{"service_tier", "return_images"}},
		"before":    {`{"service_tier":"scale","model":"m",` + messages + `}`, `{"service_tier":"default","model":"m",` + bare + `}`, []string{"service_tier", "reasoning_details"}},
		"behind":    {`{"model":"m",` + messages + `,"service_tier":"flex"}`, `{"model":"m",` + bare + `,"service_tier":"default"}`, []string{"service_tier", "reasoning_details"}},
		"no images": {`{"model":"m","return_images":false,"messages":[{"role":"user","content":"hi"}]}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, bad := Parse("req_1", []byte(c.body))
			if bad != nil {
				t.Fatal(bad)
			}
			if c.want == "" {
				c.want = c.body
			}
			if string(r.Body) != c.want {
				t.Errorf("got %s", r.Body)
			}
			if d := cmp.Diff(c.dropped, r.Dropped); d != "" {
				t.Error(d)
			}
			if m, ok := r.Fields.Get("model"); !ok || string(r.Body[m.ValueStart:m.ValueEnd]) != `"m"` {
				t.Errorf("the members are found elsewhere: %+v", r.Fields)
			}
			if _, err := r.Translate(); err != nil {
				t.Error(err)
			}
		})
	}
}
