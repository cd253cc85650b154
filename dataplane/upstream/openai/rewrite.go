package openai

import (
	"bytes"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

// rewriting makes the upstream's body out of the client's, byte for byte but for its edits.
type rewriting struct {
	call   chat.Call
	body   []byte
	fields jsonscan.Object
	edits  []jsonscan.Edit
	// gone are the members that are left out, by index.
	gone    map[int]bool
	dropped []string
	// noted is dropped too, and never a reason to refuse: what is left of answers of other providers' models.
	noted []string
	model model
}

// rewrite makes the body of a call whose client speaks the upstream's protocol: the upstream's own id of the model; in
// chat's streams the wish for usage; without what is the gateway's own; and for OpenAI's models without what they refuse.
//
// An error is a *chat.Error: the model's Strict refuses what would be left out.
func rewrite(c chat.Call) (body [][]byte, dropped []string, err error) {
	r := rewriting{call: c, body: c.Request.Body, fields: c.Request.Fields, gone: map[int]bool{}, model: modelOf(c.Model)}
	if m, ok := r.fields.Get("model"); ok {
		r.edits = append(r.edits, m.Replace(jsonscan.Quote(c.Model)))
	}
	r.cache()
	if c.Request.Stream && c.Request.Protocol != chat.Responses && c.Request.Protocol != chat.Embeddings {
		r.edits = append(r.edits, wantUsage(r.body, r.fields))
	}
	if official(c) {
		r.forOpenAI()
	}
	if c.Request.Protocol != chat.Responses && c.Request.Protocol != chat.Embeddings {
		r.nested()
	}
	r.removals()
	slices.SortStableFunc(r.edits, func(a, b jsonscan.Edit) int { return a.Start - b.Start })
	if c.Strict && len(r.dropped) > 0 {
		return nil, nil, responses.Unsupported(r.dropped[0])
	}
	return jsonscan.Pieces(r.body, r.edits...), append(r.dropped, r.noted...), nil
}

// cache takes out the gateway's shorthand. These upstreams cache by themselves, but for Vercel with models that want marks,
// which it sets where it is told to.
func (r *rewriting) cache() {
	raw := string(r.value("cache"))
	r.leaveOut("cache")
	if raw != "" && raw != "false" && flavourOf(r.call).marks() && r.value("providerOptions") == nil {
		r.leaveOut("providerOptions")
		r.edits = append(r.edits, r.fields.Prepend("providerOptions", autoCaching))
	}
}

// value is a member's raw value; nil: there is none, or it is null.
func (r *rewriting) value(name string) []byte {
	raw := r.fields.Value(r.body, name)
	if jsonscan.IsNull(raw) {
		return nil
	}
	return raw
}

// leaveOut removes a member with all its duplicates.
func (r *rewriting) leaveOut(name string) {
	for i := range r.fields {
		if r.fields[i].Name == name {
			r.gone[i] = true
		}
	}
}

// drop removes a member and says so.
func (r *rewriting) drop(name string) {
	if r.value(name) != nil {
		r.dropped = append(r.dropped, name)
	}
	r.leaveOut(name)
}

// rename gives a member another name.
func (r *rewriting) rename(from, to string) {
	m, ok := r.fields.Get(from)
	if !ok {
		return
	}
	text := append(jsonscan.Quote(to), ':')
	r.edits = append(r.edits, jsonscan.Edit{Start: m.KeyStart, End: m.ValueEnd, Text: append(text, r.body[m.ValueStart:m.ValueEnd]...)})
}

// replace gives a member another value, or puts the member first.
func (r *rewriting) replace(name string, value []byte) {
	if m, ok := r.fields.Get(name); ok {
		r.edits = append(r.edits, m.Replace(value))
		return
	}
	r.edits = append(r.edits, r.fields.Prepend(name, value))
}

// removals are the edits for the members left out, each with the comma that joined it.
func (r *rewriting) removals() {
	kept := false
	for i, m := range r.fields {
		switch {
		case !r.gone[i]:
			kept = true
		case kept:
			r.edits = append(r.edits, jsonscan.Edit{Start: r.fields[i-1].ValueEnd, End: m.ValueEnd})
		case i+1 < len(r.fields):
			r.edits = append(r.edits, jsonscan.Edit{Start: m.KeyStart, End: r.fields[i+1].KeyStart})
		default:
			r.edits = append(r.edits, jsonscan.Edit{Start: m.KeyStart, End: m.ValueEnd})
		}
	}
}

// wantUsage is the edit that sets stream_options.include_usage to true and leaves the other options as they are.
func wantUsage(body []byte, fields jsonscan.Object) jsonscan.Edit {
	const want = `{"include_usage":true}`
	options, found := fields.Get("stream_options")
	if !found {
		return fields.Prepend("stream_options", []byte(want))
	}
	raw := body[options.ValueStart:options.ValueEnd]
	inner, err := jsonscan.Scan(raw)
	if err != nil || len(inner) == 0 {
		return options.Replace([]byte(want))
	}
	edit := inner.Prepend("include_usage", []byte("true"))
	if m, found := inner.Get("include_usage"); found {
		edit = m.Replace([]byte("true"))
	}
	edit.Start += options.ValueStart
	edit.End += options.ValueStart
	return edit
}

// forOpenAI leaves out what OpenAI's API or the model refuses.
func (r *rewriting) forOpenAI() {
	switch r.call.Request.Protocol {
	case chat.Embeddings:
	case chat.Responses:
		r.leaveOut("cache_control")
		r.sampling(r.member("reasoning", "effort"), "temperature", "top_p", "top_logprobs")
	default:
		r.foreign()
		r.sampling(r.reasoning(), "temperature", "top_p", "logprobs", "top_logprobs")
		r.fixed()
	}
}

// foreign are parameters of other providers' chat completions.
func (r *rewriting) foreign() {
	r.leaveOut("cache_control")
	for _, name := range []string{"thinking", "top_k", "enable_thinking", "thinking_budget", "chat_template_kwargs"} {
		r.drop(name)
	}
}

// reasoning brings {"reasoning":{"effort"}}, of OpenRouter and Vercel, into OpenAI's reasoning_effort, and says what is wanted.
func (r *rewriting) reasoning() string {
	effort, _ := jsonscan.String(r.value("reasoning_effort"))
	if other := r.member("reasoning", "effort"); other != "" && effort == "" && r.model.reasons {
		effort = other
		r.replace("reasoning_effort", jsonscan.Quote(other))
		r.leaveOut("reasoning")
	} else {
		r.drop("reasoning")
	}
	if !r.model.reasons && effort != "" {
		r.drop("reasoning_effort")
	}
	return effort
}

// member is a string in a member that is an object.
func (r *rewriting) member(name, inner string) string {
	s, _ := jsonscan.String(jsonscan.Field(r.value(name), inner))
	return s
}

// sampling drops the parameters of sampling where the model takes none, but for values that change nothing.
func (r *rewriting) sampling(effort string, names ...string) {
	if r.model.samples(effort) {
		return
	}
	for _, name := range names {
		switch raw := string(bytes.TrimRight(r.value(name), "0")); {
		case raw == "":
			// 0 log probabilities are none; a temperature of 0 is one.
			if name == "temperature" || name == "top_p" {
				r.drop(name)
			}
		case (name == "temperature" || name == "top_p") && (raw == "1" || raw == "1."), raw == "false":
		default:
			r.drop(name)
		}
	}
}

// fixed are the other parameters that models which reason do not take.
func (r *rewriting) fixed() {
	if !r.model.reasons {
		return
	}
	for _, name := range []string{"stop", "logit_bias", "presence_penalty", "frequency_penalty"} {
		if !neutral(r.value(name)) {
			r.drop(name)
		}
	}
	if r.model.series {
		r.drop("parallel_tool_calls")
	}
	if r.value("max_tokens") == nil {
		return
	}
	if r.value("max_completion_tokens") != nil {
		r.leaveOut("max_tokens")
		return
	}
	r.leaveOut("max_completion_tokens") // null
	r.rename("max_tokens", "max_completion_tokens")
}

// neutral says that a value changes nothing: null, 0, none.
func neutral(raw []byte) bool {
	switch string(raw) {
	case "", "0", "0.0", "[]", "{}":
		return true
	}
	return false
}
