package wire

import (
	"encoding/json"
	"fmt"
)

type completionsUsage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
	// Reasoning, Queries are Perplexity's.
	Reasoning     int64 `json:"reasoning_tokens"`
	Queries       int64 `json:"num_search_queries"`
	PromptDetails struct {
		Cached int64 `json:"cached_tokens"`
		Write  int64 `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	// Created is what was written to a cache, as Vercel and the gateway tell it.
	Created  int64 `json:"cache_creation_input_tokens"`
	Creation struct {
		Hour int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Server struct {
		Searches int64 `json:"web_search_requests"`
	} `json:"server_tool_use"`
	// Details are OpenRouter's.
	Details struct {
		Searches int64 `json:"web_search_requests"`
	} `json:"server_tool_use_details"`
}

func (u *completionsUsage) usage() *Usage {
	if u == nil {
		return nil
	}
	write := max(u.Created, u.PromptDetails.Write)
	out := &Usage{
		Input: u.Prompt - u.PromptDetails.Cached - write, Read: u.PromptDetails.Cached, Write: write - u.Creation.Hour, WriteHour: u.Creation.Hour,
		Output: u.Completion, Reasoning: max(u.CompletionDetails.Reasoning, u.Reasoning), Searches: max(u.Server.Searches, u.Queries, u.Details.Searches),
	}
	if out.Reasoning > out.Output {
		// Some count it beside the output.
		out.Output += out.Reasoning
	}
	return out
}

type completionsMessage struct {
	Role             string
	Content, Refusal *string
	ReasoningContent string `json:"reasoning_content"`
	Reasoning        string
	Details          []struct{ Type, Text, Summary, Data, Signature string } `json:"reasoning_details"`
	Annotations      []struct {
		URL struct {
			Start int64 `json:"start_index"`
			End   int64 `json:"end_index"`
			URL   string
			Title string
		} `json:"url_citation"`
	}
	Calls []struct {
		Index    *int
		ID       *string
		Type     string
		Function *struct{ Name, Arguments string }
		Custom   *struct{ Name, Input string }
		Extra    struct {
			Google struct {
				Signature string `json:"thought_signature"`
			}
		} `json:"extra_content"`
	} `json:"tool_calls"`
}

type completionsObject struct {
	ID, Object string
	Choices    []struct {
		Index          int
		Message, Delta *completionsMessage
		Finish         *string `json:"finish_reason"`
	}
	Usage     *completionsUsage
	Citations []string
	Results   []struct{ URL string } `json:"search_results"`
	Error     json.RawMessage
}

// Completions reads an answer of OpenAI's chat completions, whoever wrote it, and says where it breaks the protocol.
func Completions(status int, stream bool, body []byte) (View, []string) {
	r := completionsReader{}
	switch {
	case status != 200:
		r.fail(status, body)
	case stream:
		r.stream(body)
	default:
		var o completionsObject
		if err := json.Unmarshal(body, &o); err != nil {
			r.check(false, "an answer that does not decode: %v", err)
			break
		}
		if len(o.Error) > 0 && o.Error[0] == '{' {
			r.fail(status, body)
			break
		}
		r.check(o.Object == "chat.completion", "object %q", o.Object)
		r.object(&o, false)
	}
	for i := range r.view.Choices {
		r.finish(&r.view.Choices[i], i)
	}
	return r.view.settle(), r.problems
}

type completionsReader struct {
	view     View
	problems []string
	notes    []struct {
		choice, from, to int
		where            string
	}
	// of a stream
	id     string
	roles  []bool
	ended  []bool
	counts int
}

func (r *completionsReader) check(ok bool, format string, values ...any) {
	if !ok {
		r.problems = append(r.problems, fmt.Sprintf(format, values...))
	}
}

// fail reads an error: an object with a message, or anything else.
func (r *completionsReader) fail(status int, body []byte) {
	var o struct {
		Error struct {
			Message, Type *string
			Code          any
		}
	}
	err := json.Unmarshal(body, &o)
	f := &Failure{Status: status, Message: string(body)}
	r.check(err == nil && o.Error.Message != nil && o.Error.Type != nil, "an error without type or message: %.100s", body)
	if err == nil && o.Error.Message != nil {
		f.Message = *o.Error.Message
	}
	if o.Error.Type != nil {
		f.Type = *o.Error.Type
	}
	if o.Error.Code != nil {
		f.Code = fmt.Sprint(o.Error.Code)
	}
	r.view.Failure = f
}

func (r *completionsReader) stream(body []byte) {
	done := false
	for _, raw := range events(body) {
		r.check(!done, "an event behind [DONE]")
		if raw.data == "[DONE]" {
			done = true
			continue
		}
		var o completionsObject
		if err := json.Unmarshal([]byte(raw.data), &o); err != nil {
			r.check(false, "a chunk that does not decode: %v", err)
			continue
		}
		if len(o.Error) > 0 && string(o.Error) != "null" {
			r.fail(200, []byte(raw.data))
			continue
		}
		if r.id == "" {
			r.id = o.ID
		}
		r.check(o.ID == r.id && o.Object == "chat.completion.chunk", "chunk %q of the stream %q, object %q", o.ID, r.id, o.Object)
		r.check(r.counts == 0, "a chunk behind the usage")
		if o.Usage != nil {
			r.counts++
			r.check(len(o.Choices) == 0, "usage in a chunk with choices")
		}
		r.object(&o, true)
	}
	if r.view.Failure != nil {
		r.check(!done, "[DONE] behind an error")
		return
	}
	r.check(done, "no [DONE]")
	for i, ended := range r.ended {
		r.check(ended, "choice %d has no finish_reason", i)
	}
}

func (r *completionsReader) object(o *completionsObject, chunk bool) {
	if u := o.Usage.usage(); u != nil {
		r.view.Usage = u
	}
	r.view.Sources = append(r.view.Sources, o.Citations...)
	for _, one := range o.Results {
		r.view.Sources = append(r.view.Sources, one.URL)
	}
	for _, one := range o.Choices {
		c := r.view.choice(one.Index)
		m := one.Message
		if chunk {
			m = one.Delta
			for len(r.roles) <= one.Index && len(r.roles) < 64 {
				r.roles, r.ended = append(r.roles, false), append(r.ended, false)
			}
			if m != nil {
				r.check(r.roles[one.Index] || m.Role == "assistant", "the first chunk of choice %d has no role", one.Index)
			}
			r.check(!r.ended[one.Index], "a chunk behind the finish_reason of choice %d", one.Index)
			r.roles[one.Index] = true
			r.ended[one.Index] = one.Finish != nil
		} else {
			r.check(m != nil && m.Role == "assistant", "a message without its role")
			r.check(one.Finish != nil, "no finish_reason")
		}
		if m != nil {
			r.message(one.Index, c, m, chunk)
		}
		if one.Finish != nil {
			c.Finish = map[string]string{
				"stop": FinishStop, "length": FinishLength, "tool_calls": FinishTools, "function_call": FinishTools, "content_filter": FinishFilter,
			}[*one.Finish]
			r.check(c.Finish != "", "finish_reason %q", *one.Finish)
		}
	}
}

func (r *completionsReader) message(index int, c *Choice, m *completionsMessage, chunk bool) {
	if m.Content != nil {
		c.Text += *m.Content
	}
	if m.Refusal != nil {
		c.Refusal += *m.Refusal
	}
	reasoning := m.ReasoningContent
	if reasoning == "" {
		reasoning = m.Reasoning
	}
	c.Reasoning += reasoning
	for _, d := range m.Details {
		c.Opaque = append(c.Opaque, d.Data, d.Signature)
	}
	for _, a := range m.Annotations {
		where := a.URL.URL
		if where == "" {
			where = a.URL.Title
		}
		r.notes = append(r.notes, struct {
			choice, from, to int
			where            string
		}{index, int(a.URL.Start), int(a.URL.End), where})
	}
	for i := range m.Calls {
		r.call(c, m, i, chunk)
	}
}

func (r *completionsReader) call(c *Choice, m *completionsMessage, i int, chunk bool) {
	call := &m.Calls[i]
	at := len(c.Calls)
	if chunk {
		if call.Index == nil || *call.Index > at || *call.Index < 0 {
			r.check(false, "a call's delta with index %v of %d calls", call.Index, at)
			return
		}
		at = *call.Index
	}
	if at == len(c.Calls) {
		r.check(call.ID != nil && *call.ID != "" && call.Type != "" && (call.Function != nil && call.Function.Name != "" || call.Custom != nil), "call %d begins without id, type or name", at)
		c.Calls = append(c.Calls, Call{})
	} else {
		r.check(call.ID == nil || *call.ID == "" || *call.ID == c.Calls[at].ID, "call %d has two ids", at)
	}
	to := &c.Calls[at]
	if call.ID != nil && *call.ID != "" {
		to.ID = *call.ID
	}
	if call.Function != nil {
		to.Name += call.Function.Name
		to.Arguments += call.Function.Arguments
	}
	if call.Custom != nil {
		to.Name += call.Custom.Name
		to.Arguments += call.Custom.Input
	}
	c.Opaque = append(c.Opaque, call.Extra.Google.Signature)
}

func (r *completionsReader) finish(c *Choice, index int) {
	for _, n := range r.notes {
		if n.choice == index {
			c.Cited = append(c.Cited, Cited{n.where, between(c.Text, int64(n.from), int64(n.to))})
		}
	}
	if r.view.Failure == nil {
		r.check((c.Finish == FinishTools) == (len(c.Calls) > 0) || c.Finish == FinishLength || c.Finish == FinishFilter, "finish_reason %q with %d calls", c.Finish, len(c.Calls))
	}
}
