package chat

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

func parsed(t *testing.T, body string, most int64) *Request {
	t.Helper()
	fields, err := jsonscan.Scan([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Body: []byte(body), Fields: fields, MaxOutputTokens: most}
}

func TestClamp(t *testing.T) {
	for body, c := range map[string]struct {
		asked int64
		want  string
		max   int64
	}{
		`{"model":"m"}`:                               {0, `{"max_tokens":7,"model":"m"}`, 7},
		`{"max_tokens":null,"model":"m"}`:             {0, `{"max_tokens":7,"model":"m"}`, 7},
		`{"model":"m","max_completion_tokens":null}`:  {0, `{"model":"m","max_completion_tokens":7}`, 7},
		`{"max_tokens":8, "model":"m"}`:               {8, `{"max_tokens":7, "model":"m"}`, 7},
		`{"max_tokens":5}`:                            {5, `{"max_tokens":5}`, 5},
		`{"max_tokens":0}`:                            {0, `{"max_tokens":0}`, 7},
		`{"max_completion_tokens":9,"max_tokens":3}`:  {9, `{"max_completion_tokens":7,"max_tokens":3}`, 7},
		`{"max_completion_tokens":9,"max_tokens":90}`: {90, `{"max_completion_tokens":7,"max_tokens":7}`, 7},
	} {
		r := parsed(t, body, c.asked)
		got := r.Clamp(7, nil, "max_tokens", "max_completion_tokens")
		if string(got.Body) != c.want || got.MaxOutputTokens != c.max {
			t.Errorf("%s: %s, %d; want %s, %d", body, got.Body, got.MaxOutputTokens, c.want, c.max)
		}
		if string(r.Body) != body || r.MaxOutputTokens != c.asked {
			t.Errorf("the client's own became %s, %d", r.Body, r.MaxOutputTokens)
		}
		if fields, err := jsonscan.Scan(got.Body); err != nil || len(fields) != len(got.Fields) || !cmp.Equal(fields.Value(got.Body, "max_tokens"), got.Fields.Value(got.Body, "max_tokens")) {
			t.Errorf("%s: fields %v, %v", body, got.Fields, err)
		}
	}
}

func TestClampedPrompt(t *testing.T) {
	reason := func(budget int64) *Reasoning { return &Reasoning{Budget: budget} }
	for name, c := range map[string]struct{ has, want Prompt }{
		"no limit":           {Prompt{}, Prompt{MaxOutputTokens: 100}},
		"above":              {Prompt{MaxOutputTokens: 101}, Prompt{MaxOutputTokens: 100}},
		"below":              {Prompt{MaxOutputTokens: 5, User: "u"}, Prompt{MaxOutputTokens: 5, User: "u"}},
		"a budget":           {Prompt{Reasoning: reason(99)}, Prompt{MaxOutputTokens: 100, Reasoning: reason(99)}},
		"too large a budget": {Prompt{MaxOutputTokens: 900, Reasoning: reason(100)}, Prompt{MaxOutputTokens: 100, Reasoning: reason(50)}},
	} {
		r, before := parsed(t, `{"model":"m"}`, 0), c.has
		r.Translate = func() (*Prompt, error) { return &c.has, nil }
		got, err := r.Clamp(100, nil, "max_tokens").Translate()
		if err != nil || !cmp.Equal(*got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		if !cmp.Equal(c.has, before) {
			t.Errorf("%s: the shared prompt became %+v", name, c.has)
		}
	}
}
