package server

import (
	"strings"
	"testing"
)

// A capability that is missing is named by the field that asks for it in the client's own protocol.
func TestCapabilityParamOfEachProtocol(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	schema := `{"type":"json_schema","name":"x","schema":{"type":"object"}}`
	for _, c := range []struct{ path, body, param string }{
		{"/v1/chat/completions", `{"model":"text","messages":[{"role":"user","content":"x"}],"reasoning_effort":"low"}`, "reasoning_effort"},
		{"/v1/messages", `{"model":"text","max_tokens":9,"messages":[{"role":"user","content":"x"}],"thinking":{"type":"adaptive"}}`, "thinking"},
		{"/v1/messages", `{"model":"text","max_tokens":9,"messages":[{"role":"user","content":"x"}],"output_config":{"format":` + schema + `}}`, "output_config"},
		{"/v1/responses", `{"model":"text","input":"x","reasoning":{"effort":"low"}}`, "reasoning"},
		{"/v1/responses", `{"model":"text","input":"x","text":{"format":` + schema + `}}`, "text"},
		{"/v1/responses", `{"model":"text","input":[{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}]}`, "input"},
	} {
		got := w.do("POST", c.path, goodKey, c.body)
		if got.status != 400 || !strings.Contains(got.body, `"param":"`+c.param+`"`) || !strings.Contains(got.body, "unsupported_capability") {
			t.Errorf("%s %s: %d %s", c.path, c.body, got.status, got.body)
		}
	}
}
