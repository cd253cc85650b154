package wire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Every answer says the same to a client of every protocol as it says on record, is charged for what it says it
// used, and breaks no rule of the client's protocol.
func TestExchanges(t *testing.T) {
	cases := exchanges(t)
	var plans []planned
	var routes []route
	for i := range cases {
		for _, protocol := range inbounds {
			if p, ok := plan(&cases[i], protocol); ok {
				plans, routes = append(plans, p), append(routes, p.route)
			}
		}
	}
	w := newWorld(t, routes)
	for _, p := range plans {
		w.provider.serve(p.name, p.Case)
	}
	t.Run("all", func(t *testing.T) {
		for _, p := range plans {
			t.Run(string(p.protocol)+"/"+p.ID, func(t *testing.T) {
				t.Parallel()
				p.exchange(t, w)
			})
		}
	})
}

func (p planned) exchange(t *testing.T, w *world) {
	body := p.body(t)
	r := w.ask(t, p.protocol, body)
	if r.status == http.StatusBadRequest && p.passes && p.Request != nil && w.provider.last(p.name).body == nil {
		// Tools that run at a router, and a limit of no tokens: the provider has answered those, the gateway does not ask.
		if refused, _ := heard(p.protocol, r.status, false, r.body); refused.Failure.Code != "unsupported_parameter" && refused.Failure.Code != "integer_below_min_value" {
			t.Errorf("the recorded request is refused: %s", r.body)
		}
		body = p.short()
		r = w.ask(t, p.protocol, body)
	}
	if p.passes && p.Request != nil && p.Status == http.StatusOK && bytes.Equal(body, p.body(t)) {
		p.sentAsRecorded(t, w.provider.last(p.name).body, r.header.Get("X-Layers-Dropped-Params"))
	}
	got, problems := heard(p.protocol, r.status, p.Stream, r.body)
	want := p.view()
	if want.Failure != nil && (r.status != http.StatusOK || p.Status != http.StatusOK || len(want.Choices) == 0) {
		p.failed(t, want.Failure, r, got)
		return
	}
	if !p.passes {
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	if p.kind == snapshot.OpenAI && p.API == "chat" && strings.Contains(p.model, "-search") && want.Usage != nil {
		want.Usage.Searches = 1 // each answer of these models is billed as one
	}
	usage := want.Usage
	if d := cmp.Diff(p.expected(want), p.told(want, got)); d != "" {
		t.Errorf("(-recorded +heard)\n%s", d)
	}
	if p.passes && want.Failure == nil {
		p.same(t, r)
	}
	if t.Failed() {
		t.Logf("upstream was asked %s", w.provider.last(p.name).path)
	}
	if want.Failure != nil {
		return
	}
	got2 := w.receipt(t, r)
	switch {
	case usage != nil && (got2.Evidence == "reported" || got2.Evidence == "free"):
		if d := cmp.Diff(usage, got2.usage()); d != "" {
			t.Errorf("charged (-recorded +charged)\n%s", d)
		}
	case usage != nil:
		t.Errorf("usage was told, and is %s", got2.Evidence)
	case got2.Evidence == "reported":
		t.Errorf("no usage was told, and %+v is charged", got2.usage())
	}
}

// expected is what a client of the protocol can hear of a recorded answer.
func (p planned) expected(v View) View {
	v.Choices = slices.Clone(v.Choices)
	if p.protocol != chat.Completions && len(v.Choices) > 1 && !p.passes {
		v.Choices = v.Choices[:1]
	}
	for i := range v.Choices {
		c := &v.Choices[i]
		if p.passes {
			continue
		}
		if p.protocol == chat.Messages && c.Refusal != "" {
			if c.Finish == FinishStop {
				c.Finish = FinishFilter
				c.Text += c.Refusal
				c.Refusal = ""
			}
		}
		if p.protocol == chat.Responses && p.API == "messages" && c.Finish == FinishFilter {
			c.Finish = FinishStop // a refusal is an answer there
		}
	}
	return p.comparable(v)
}

// told is what a client has heard, but for what the record does not tell: usage that is estimated, the text that a citation
// is of.
func (p planned) told(want, got View) View {
	if want.Usage == nil && !p.passes {
		got.Usage = nil
	}
	got.Choices = slices.Clone(got.Choices)
	for i := range min(len(got.Choices), len(want.Choices)) {
		cited := slices.Clone(got.Choices[i].Cited)
		for j := range min(len(cited), len(want.Choices[i].Cited)) {
			if want.Choices[i].Cited[j].Text == "" {
				cited[j].Text = ""
			}
		}
		got.Choices[i].Cited = cited
		if want.Failure != nil {
			got.Choices[i].Finish = want.Choices[i].Finish
		}
	}
	if want.Failure != nil {
		got.Usage = want.Usage // as far as it came
	}
	return p.comparable(got)
}

// comparable leaves out what the client's protocol has no word for.
func (p planned) comparable(v View) View {
	v.Choices = slices.Clone(v.Choices)
	for i := range v.Choices {
		c := &v.Choices[i]
		c.Calls = slices.Clone(c.Calls)
		for j := range c.Calls {
			c.Calls[j].ID = ""
		}
		if p.Provider == "gemini" {
			c.Refusal = "" // a filter's words
		}
		var cited []Cited
		for _, one := range c.Cited {
			if p.protocol == chat.Messages && !p.passes {
				one.Text = "" // it is cited in a block, which may be all of the text
			}
			if one.Where != "" && !slices.Contains(cited, one) {
				cited = append(cited, one)
			}
		}
		c.Cited = cited
	}
	if v.Usage != nil {
		u := *v.Usage
		if p.protocol == chat.Responses {
			u.Write, u.WriteHour, u.Searches = u.Write+u.WriteHour, 0, 0
		}
		if p.passes {
			u.Searches = 0
		}
		v.Usage = &u
	}
	if v.Failure != nil {
		v.Failure = &Failure{}
	}
	return v
}

// same compares what passes through byte by byte, but for the cost.
func (p planned) same(t *testing.T, r reply) {
	t.Helper()
	if !p.Stream {
		if got, want := costless(t, r.body), costless(t, p.Body); got != want {
			t.Errorf("(-recorded +passed)\n%s", cmp.Diff(want, got))
		}
		return
	}
	got, want := events(r.body), events(p.Body)
	if len(got) != len(want) {
		t.Fatalf("%d events became %d", len(want), len(got))
	}
	for i := range want {
		if got[i].name != want[i].name || costless(t, []byte(got[i].data)) != costless(t, []byte(want[i].data)) {
			t.Errorf("event %d: %s became %s", i, want[i], got[i])
		}
	}
}

// costless is JSON in one way, without the cost in its usage.
func costless(t *testing.T, data []byte) string {
	t.Helper()
	if bytes.Equal(data, []byte("[DONE]")) {
		return "[DONE]"
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %.200s", err, data)
	}
	for _, holder := range []any{v, v["response"]} {
		if holder, ok := holder.(map[string]any); ok {
			if usage, ok := holder["usage"].(map[string]any); ok {
				delete(usage, "cost")
			}
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// refusals are what a client hears of a provider's error.
type refusal struct {
	status int
	kind   string
	code   string
}

// failed checks an error: its status, its type and its code by design/wire.md section 8.
func (p planned) failed(t *testing.T, f *Failure, r reply, got View) {
	t.Helper()
	want := p.refusal(f)
	if p.protocol == chat.Messages {
		want.kind = map[int]string{
			400: "invalid_request_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 502: "api_error",
			503: "overloaded_error",
		}[want.status]
		if want.status == 503 {
			want.status = 529
		}
	}
	if got.Failure == nil {
		t.Fatalf("no error for %+v: %d %.300s", f, r.status, r.body)
	}
	if heard := (refusal{r.status, got.Failure.Type, got.Failure.Code}); heard != want {
		t.Errorf("heard %+v, want %+v, of %+v", heard, want, *f)
	}
	for _, secret := range []string{"00000000-0000", "sk-provider", "project_number:"} {
		if strings.Contains(string(r.body), secret) {
			t.Errorf("the error tells %q: %s", secret, r.body)
		}
	}
	if got.Failure.Message == "" {
		t.Error("an error without words")
	}
	for _, name := range []string{"Anthropic-Organization-Id", "Openai-Organization", "Openai-Project", "Set-Cookie"} {
		if v := r.header.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
	if after := p.Header.Get("Retry-After"); after != "" && want.status == 429 && r.header.Get("Retry-After") != after {
		t.Errorf("Retry-After %q became %q", after, r.header.Get("Retry-After"))
	}
}

func (p planned) refusal(f *Failure) refusal {
	message, status := strings.ToLower(f.Message), f.Status
	if status == 200 {
		status = 500
		if f.Type == "overloaded_error" {
			status = 529
		}
		if n, err := strconv.Atoi(f.Code); err == nil {
			status = n
		}
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(message+" "+f.Code+" "+f.Type, w) })
	}
	switch {
	case status == 401, has("api key not valid", "unregistered callers"):
		return refusal{502, "api_error", "upstream_auth"}
	case has("insufficient_quota"):
		return refusal{429, "insufficient_quota", "insufficient_quota"}
	case has("prompt is too long", "input token count", "context length", "context_length_exceeded", "too_many_prompt_tokens"):
		return refusal{400, "invalid_request_error", "context_length_exceeded"}
	case status == 403:
		return refusal{403, "permission_error", f.Code}
	case status == 404:
		return refusal{404, "invalid_request_error", "model_not_found"}
	case status == 413:
		return refusal{413, "invalid_request_error", "request_too_large"}
	case status == 429:
		return refusal{429, "rate_limit_error", "rate_limit_exceeded"}
	case status == 503, status == 529:
		return refusal{503, "overloaded_error", "upstream_overloaded"}
	case status >= 500:
		if f.Code == "" {
			f.Code = "upstream_error"
		}
		return refusal{502, "api_error", f.Code}
	}
	code := f.Code
	if code == "400" || p.Provider == "gemini" || p.Provider == "anthropic" || code == "<nil>" {
		code = ""
	}
	return refusal{400, "invalid_request_error", code}
}
