package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

type responsesPart struct {
	Type, Text, Refusal string
	Annotations         []struct {
		Start int64 `json:"start_index"`
		End   int64 `json:"end_index"`
		URL   string
		Title string
	}
}

type responsesItem struct {
	ID, Type, Status, Name string
	CallID                 string `json:"call_id"`
	Arguments, Input       string
	Encrypted              string `json:"encrypted_content"`
	Summary, Content       []responsesPart
	Action                 struct {
		Type    string
		Sources []struct{ URL string }
	}
	Results []struct {
		ID  int64
		URL string
	}
}

type responsesObject struct {
	ID, Status string
	Error      *struct{ Code, Message string }
	Incomplete *struct{ Reason string } `json:"incomplete_details"`
	Output     []json.RawMessage
	Usage      *struct {
		Input        int64 `json:"input_tokens"`
		Output       int64 `json:"output_tokens"`
		InputDetails struct {
			Cached  int64 `json:"cached_tokens"`
			Read    int64 `json:"cache_read_input_tokens"`
			Write   int64 `json:"cache_write_tokens"`
			Created int64 `json:"cache_creation_input_tokens"`
		} `json:"input_tokens_details"`
		OutputDetails struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
		Calls map[string]struct{ Invocation int64 } `json:"tool_calls_details"`
	}
	Tools struct {
		Search struct {
			Requests int64 `json:"num_requests"`
		} `json:"web_search"`
	} `json:"tool_usage"`
}

// Responses reads an answer of OpenAI's Responses, whoever wrote it, and says where it breaks the protocol.
func Responses(status int, stream bool, body []byte) (View, []string) {
	r := responsesReader{}
	switch {
	case status != 200:
		c := completionsReader{}
		c.fail(status, body)
		r.view, r.problems = c.view, c.problems
	case stream:
		r.stream(body)
	default:
		var o responsesObject
		r.check(json.Unmarshal(body, &o) == nil && o.Status != "", "a response that does not decode: %.100s", body)
		r.object(&o)
	}
	return r.view.settle(), r.problems
}

type responsesReader struct {
	view     View
	problems []string
	sequence int64
	items    []*responsesOpen
	final    *responsesObject
}

// responsesOpen is an item as its events tell it.
type responsesOpen struct {
	id, kind string
	done     json.RawMessage
	// texts are the deltas by part, and closed what the part's end said.
	texts, closed map[int]string
}

func (r *responsesReader) check(ok bool, format string, values ...any) {
	if !ok {
		r.problems = append(r.problems, fmt.Sprintf(format, values...))
	}
}

type responsesEvent struct {
	Type     string
	Sequence *int64 `json:"sequence_number"`
	Response *responsesObject
	Index    *int `json:"output_index"`
	Content  int  `json:"content_index"`
	Summary  int  `json:"summary_index"`
	Item     json.RawMessage
	Delta    string
	Text, Refusal, Arguments,
	Input *string
	Part          *responsesPart
	Code, Message string
	Error         *struct{ Code, Message string }
}

func (r *responsesReader) stream(body []byte) {
	r.sequence = -1
	for n, raw := range events(body) {
		if raw.data == "[DONE]" {
			continue
		}
		var e responsesEvent
		if err := json.Unmarshal([]byte(raw.data), &e); err != nil {
			r.check(false, "an event that does not decode: %v", err)
			continue
		}
		r.check(raw.name == e.Type, "event %q has the type %q", raw.name, e.Type)
		r.check(r.final == nil, "%s behind the end", e.Type)
		if first := [...]string{"response.created", "response.in_progress"}; n < len(first) && e.Type != "error" {
			r.check(e.Type == first[n], "event %d is %s", n, e.Type)
		}
		if e.Sequence != nil {
			r.check(*e.Sequence > r.sequence, "%s is number %d behind %d", e.Type, *e.Sequence, r.sequence)
			r.sequence = *e.Sequence
		} else {
			r.check(e.Type == "error", "%s has no number", e.Type)
		}
		r.event(&e)
	}
	if r.final == nil {
		r.check(r.view.Failure != nil, "no end")
		c := r.view.choice(0)
		for _, it := range r.items {
			if it.kind == "message" {
				c.Text += it.texts[0]
			}
		}
		return
	}
	r.pairs()
	// What is encrypted is another text each time that OpenAI tells it: the first counts.
	for i, it := range r.items {
		if it.kind == "reasoning" && it.done != nil && i < len(r.final.Output) {
			r.final.Output[i] = it.done
		}
	}
	r.object(r.final)
}

func (r *responsesReader) event(e *responsesEvent) {
	switch e.Type {
	case "response.completed", "response.incomplete", "response.failed":
		r.final = e.Response
		return
	case "error":
		r.view.Failure = &Failure{Status: 200, Code: e.Code, Message: e.Message}
		if e.Error != nil {
			r.view.Failure.Code, r.view.Failure.Message = e.Error.Code, e.Error.Message
		}
		return
	case "response.output_item.added":
		var it responsesItem
		r.check(json.Unmarshal(e.Item, &it) == nil && e.Index != nil && *e.Index == len(r.items), "an item is added at %v, %d are there", e.Index, len(r.items))
		r.items = append(r.items, &responsesOpen{id: it.ID, kind: it.Type, texts: map[int]string{}, closed: map[int]string{}})
		return
	}
	if e.Index == nil {
		return
	}
	if *e.Index >= len(r.items) {
		r.check(false, "%s for item %d of %d", e.Type, *e.Index, len(r.items))
		return
	}
	it := r.items[*e.Index]
	r.check(it.done == nil, "%s for item %d, which is done", e.Type, *e.Index)
	part := max(e.Content, e.Summary)
	switch {
	case e.Type == "response.output_item.done":
		it.done = e.Item
	case strings.HasSuffix(e.Type, ".delta"):
		it.texts[part] += e.Delta
	case strings.HasSuffix(e.Type, "_text.done"), strings.HasSuffix(e.Type, "refusal.done"), strings.HasSuffix(e.Type, "arguments.done"), strings.HasSuffix(e.Type, "input.done"):
		for _, s := range []*string{e.Text, e.Refusal, e.Arguments, e.Input} {
			if s != nil {
				it.closed[part] = *s
				r.check(*s == it.texts[part], "%s of item %d says %.60q, its deltas %.60q", e.Type, *e.Index, *s, it.texts[part])
			}
		}
	case strings.HasSuffix(e.Type, "part.done") && e.Part != nil:
		said := e.Part.Text + e.Part.Refusal
		r.check(said == it.texts[part], "%s of item %d says %.60q, its deltas %.60q", e.Type, *e.Index, said, it.texts[part])
	}
}

// pairs compares the final response with what the events have said.
func (r *responsesReader) pairs() {
	if r.view.Failure != nil {
		return
	}
	r.check(len(r.items) == len(r.final.Output), "%d items were added, the response has %d", len(r.items), len(r.final.Output))
	ids := map[string]bool{}
	for i, it := range r.items {
		r.check(it.id != "" && !ids[it.id], "item %d has the id %q", i, it.id)
		ids[it.id] = true
		r.check(it.done != nil, "item %d is never done", i)
		for part, text := range it.texts {
			closed, ok := it.closed[part]
			r.check(ok && closed == text, "part %d of item %d is never done", part, i)
		}
		if i < len(r.final.Output) && it.done != nil {
			r.check(canonical(string(it.done)) == canonical(string(r.final.Output[i])), "item %d is another in the response: %.200s, %.200s", i, it.done, r.final.Output[i])
		}
	}
}

func (r *responsesReader) object(o *responsesObject) {
	c := r.view.choice(0)
	var results = map[int64]string{}
	searches := int64(0)
	for i, raw := range o.Output {
		var it responsesItem
		r.check(json.Unmarshal(raw, &it) == nil && it.Type != "", "item %d does not decode", i)
		for _, one := range it.Results {
			results[one.ID] = one.URL
			r.view.Sources = append(r.view.Sources, one.URL)
		}
		for _, one := range it.Action.Sources {
			r.view.Sources = append(r.view.Sources, one.URL)
		}
		switch it.Type {
		case "message":
			for _, p := range it.Content {
				c.part(p)
			}
		case "reasoning":
			c.reason(append(it.Summary, it.Content...))
			c.Opaque = append(c.Opaque, carriedIn(it.Encrypted))
		case "function_call":
			r.check(it.CallID != "" && it.Name != "", "a call without id or name")
			c.Calls = append(c.Calls, Call{it.CallID, it.Name, it.Arguments})
		case "custom_tool_call":
			c.Calls = append(c.Calls, Call{it.CallID, it.Name, it.Input})
		case "web_search_call":
			if it.Action.Type == "" || it.Action.Type == "search" {
				searches++
			}
		}
	}
	// Perplexity's texts cite by the numbers of the results.
	for _, mark := range regexp.MustCompile(`\[(?:web:)?(\d+)\]`).FindAllStringSubmatch(c.Text, -1) {
		n, _ := strconv.ParseInt(mark[1], 10, 64)
		if where := results[n]; where != "" {
			c.Cited = append(c.Cited, Cited{where, mark[0]})
		}
	}
	r.end(o, c)
	if u := o.Usage; u != nil {
		out := &Usage{
			Read: max(u.InputDetails.Cached, u.InputDetails.Read), Write: max(u.InputDetails.Write, u.InputDetails.Created),
			Output: u.Output, Reasoning: u.OutputDetails.Reasoning, Searches: searches,
		}
		out.Input = u.Input - out.Read - out.Write
		if n := u.Calls["search_web"].Invocation + u.Calls["web_search"].Invocation; n > 0 {
			out.Searches = n
		}
		if n := o.Tools.Search.Requests; n > 0 {
			out.Searches = n
		}
		r.view.Usage = out
	}
}

func (r *responsesReader) end(o *responsesObject, c *Choice) {
	switch o.Status {
	case "completed":
		c.Finish = FinishStop
		if len(c.Calls) > 0 {
			c.Finish = FinishTools
		}
	case "incomplete":
		c.Finish = FinishFilter
		if o.Incomplete != nil && o.Incomplete.Reason == "max_output_tokens" {
			c.Finish = FinishLength
		}
	case "failed":
		if r.view.Failure == nil && o.Error != nil {
			r.view.Failure = &Failure{Status: 200, Code: o.Error.Code, Message: o.Error.Message}
		}
	default:
		r.check(false, "status %q", o.Status)
	}
}

// reason adds what a model tells of its thoughts; the parts are paragraphs.
func (c *Choice) reason(parts []responsesPart) {
	var all []string
	for _, p := range parts {
		all = append(all, p.Text)
	}
	c.Reasoning += strings.Join(all, "\n\n")
}

func (c *Choice) part(p responsesPart) {
	c.Text += p.Text
	c.Refusal += p.Refusal
	for _, a := range p.Annotations {
		where := a.URL
		if where == "" {
			where = a.Title
		}
		c.Cited = append(c.Cited, Cited{where, between(p.Text, a.Start, a.End)})
	}
}

// carriedIn are what a client of Responses carries in the encrypted_content of a thought that is not OpenAI's.
func carriedIn(encrypted string) string {
	text, ours := strings.CutPrefix(encrypted, "layers1:")
	if !ours {
		return encrypted
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return encrypted
	}
	var c struct{ S, E, C string }
	if json.Unmarshal(raw, &c) != nil {
		return encrypted
	}
	return c.S + c.E + c.C
}
