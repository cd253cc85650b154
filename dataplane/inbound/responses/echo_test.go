package responses

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// What an answer repeats has all members that the API's answers have.
func TestEcho(t *testing.T) {
	for name, c := range map[string]struct{ request, member, want string }{
		"tools": {
			`"tools":[{"type":"function","name":"f"},{"type":"function","name":"g","strict":true,"description":"d","parameters":{"type":"object"}},{"type":"custom","name":"c"}]`, "tools",
			`[{"type":"function","name":"f","description":null,"parameters":null,"strict":null},{"type":"function","name":"g","strict":true,"description":"d","parameters":{"type":"object"}},{"type":"custom","name":"c"}]`,
		},
		"no tools":     {`"tools":null`, "tools", `[]`},
		"reasoning":    {`"reasoning":{"effort":"low"}`, "reasoning", `{"effort":"low","summary":null}`},
		"nothing":      {`"reasoning":{ }`, "reasoning", `{"effort":null,"summary":null}`},
		"no reasoning": {`"store":true`, "reasoning", `{"effort":null,"summary":null}`},
		"verbosity":    {`"text":{"verbosity":"low"}`, "text", `{"verbosity":"low","format":{"type":"text"}}`},
		"schema": {
			`"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}}`, "text",
			`{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"description":null,"strict":false}}`,
		},
		"JSON": {`"text":{"format":{"type":"json_object"}}`, "text", `{"format":{"type":"json_object"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, `{"model":"m","input":"x",`+c.request+`}`)
			before := string(r.Body)
			body, err := New(noErrors{}).Answer(r, &chat.Answer{Choices: []chat.Choice{{}}}, chat.Total{})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(got[c.member])); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(before, string(r.Body)); d != "" {
				t.Errorf("the request has changed:\n%s", d)
			}
		})
	}
}
