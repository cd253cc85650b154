package gemini

import (
	"errors"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// maxChoices bounds the candidates of an answer; there are eight at most.
const maxChoices = 128

// decoder reads GenerateContentResponses: a whole answer, or one after the other the chunks of a stream.
type decoder struct {
	answer *transport.Answer
	plan   plan
	ids    *idSource
	// runs joins the text parts that follow each other, as the pieces of a stream do.
	runs bool

	id, model string
	choices   []*choice
	used      map[string]bool // ids of calls
	counts    counts
	// prompt is set where the prompt was not let through.
	prompt *chat.Finish
	// bytes is all output so far.
	bytes int64
}

// choice is a candidate as far as it was read.
type choice struct {
	index int64
	calls int
	// native is the finishReason, message its text for people.
	native, message string
	finished        bool
	// last is the kind of the last item.
	last itemKind
	grounding
}

// update is what one chunk says of a candidate.
type update struct {
	choice   *choice
	items    []item
	logprobs []byte
	found    found
}

func newDecoder(a *transport.Answer, p plan, ids *idSource) *decoder {
	return &decoder{answer: a, plan: p, ids: ids, used: map[string]bool{}}
}

// read takes the next chunk, whose text it keeps nothing of. An error is a *chat.Error.
func (d *decoder) read(raw []byte) ([]update, error) {
	fields, err := jsonscan.Scan(raw)
	if err != nil {
		return nil, bad(d.answer, raw, err)
	}
	if e := fields.Value(raw, "error"); !jsonscan.IsNull(e) {
		return nil, inBody(d.answer, e)
	}
	if s, ok := jsonscan.String(fields.Value(raw, "responseId")); ok && d.id == "" {
		d.id = s
	}
	if s, ok := jsonscan.String(fields.Value(raw, "modelVersion")); ok && d.model == "" {
		d.model = s
	}
	if f, ok := blocked(fields.Value(raw, "promptFeedback")); ok {
		d.prompt = &f
	}
	if c := readUsage(fields.Value(raw, "usageMetadata")); c.some {
		d.counts = c
	}
	var out []update
	var ordinal int64
	for candidate := range jsonscan.Elements(fields.Value(raw, "candidates")) {
		u, err := d.candidate(candidate, ordinal)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
		ordinal++
	}
	return out, nil
}

// candidate reads one candidate of a chunk. A candidate without an index is the one at its place: zeros are left out.
func (d *decoder) candidate(raw []byte, ordinal int64) (update, error) {
	index, ok := jsonscan.Int(jsonscan.Field(raw, "index"))
	if !ok || index < 0 {
		index = ordinal
	}
	c := d.choice(index)
	if c == nil {
		return update{}, d.answer.Bad(errors.New("too many candidates"))
	}
	u := update{choice: c}
	for p := range jsonscan.Elements(jsonscan.Field(jsonscan.Field(raw, "content"), "parts")) {
		it, err := d.item(c, p)
		if err != nil {
			return update{}, &chat.Error{Status: http.StatusInternalServerError, Type: "api_error", Message: "The gateway failed.", Cause: err}
		}
		d.note(c, it)
		u.items = append(u.items, it)
	}
	u.logprobs = readLogprobs(jsonscan.Field(raw, "logprobsResult"))
	if native := word(jsonscan.Field(raw, "finishReason"), finishNumbers); native != "" && native != "FINISH_REASON_UNSPECIFIED" {
		c.native, c.finished = native, true
		c.message, _ = jsonscan.String(jsonscan.Field(raw, "finishMessage"))
	}
	u.found = c.grounding.read(jsonscan.Field(raw, "groundingMetadata"))
	return u, nil
}

// choice finds the candidate with an index, or begins it; nil: there are too many.
func (d *decoder) choice(index int64) *choice {
	for _, c := range d.choices {
		if c.index == index {
			return c
		}
	}
	if len(d.choices) == maxChoices {
		return nil
	}
	c := &choice{index: index}
	d.choices = append(d.choices, c)
	return c
}

// note keeps what later parts of the answer need to know of an item.
func (d *decoder) note(c *choice, it item) {
	d.bytes += it.size()
	switch it.kind {
	case itemNothing:
		return
	case itemText:
		c.grounding.text(it.text, !d.runs || c.last != itemText)
	case itemCall:
		c.calls++
	}
	c.last = it.kind
}

// finish says why a candidate ended.
func (d *decoder) finish(c *choice) chat.Finish { return finish(c.native, c.message, c.calls > 0) }

// over says that nothing more is due.
func (d *decoder) over() bool {
	if d.prompt != nil {
		return true
	}
	for _, c := range d.choices {
		if !c.finished {
			return false
		}
	}
	return len(d.choices) > 0
}

// usage is what was used so far; nil: it was not reported. The early chunks of a stream report a prompt and no output although
// they have some: that is no report.
func (d *decoder) usage() *pricing.Usage {
	c := d.counts
	if !c.some || !c.output && !d.over() || !c.prompt && d.bytes > 0 {
		return nil
	}
	u := c.usage
	u.Searches = d.searches()
	return &u
}

// searches counts what Google bills: each query of the third generation on, before that each answer that used any.
func (d *decoder) searches() int64 {
	var n int64
	for _, c := range d.choices {
		n += int64(len(c.queries))
	}
	if !d.plan.perQuery {
		n = min(n, 1)
	}
	return n
}
