package responses

import (
	"encoding/json"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
)

// answer is a whole answer as a response: the unary case, written by what writes streams, so that both say the same.
func answer(r *chat.Request, a *chat.Answer, t chat.Total) response {
	w := newItems(r)
	for i := range a.Sources {
		w.source(&a.Sources[i])
	}
	var finish chat.Finish
	if len(a.Choices) > 0 {
		for i := range a.Choices[0].Parts {
			w.part(&a.Choices[0].Parts[i])
		}
		w.logprobs(a.Choices[0].Logprobs)
		finish = a.Choices[0].Finish
	}
	w.refused(finish)
	w.finish()
	out := base(r, a.Created)
	out.Output = w.list
	out.finish(finish, out.CreatedAt)
	out.Usage = usageOf(t)
	return out
}

// items collects output items. Its hooks, if set, hear of each change, for streams.
type items struct {
	r    *chat.Request
	list []outputItem
	// calls are the indices of the items of tool calls, in their order.
	calls []int
	// found are sources that are not told yet: they end no item, and more of them may come.
	found []chat.Source
	// base is how much text of the message stands before the part that is being written, in UTF-16 code units.
	base  int64
	hooks hooks
}

// hooks are called with the index of the item, and of the part within it.
type hooks interface {
	added(i int, o *outputItem)
	done(i int, o *outputItem)
	partAdded(i, part int, p outputPart)
	partDone(i, part int, p outputPart)
	delta(kind string, i, part int, text string)
	annotated(i, part, n int, a annotation)
	tokens(i, part int, list []any)
}

// silent hears nothing.
type silent struct{}

func (silent) added(int, *outputItem)              {}
func (silent) done(int, *outputItem)               {}
func (silent) partAdded(int, int, outputPart)      {}
func (silent) partDone(int, int, outputPart)       {}
func (silent) delta(string, int, int, string)      {}
func (silent) annotated(int, int, int, annotation) {}
func (silent) tokens(int, int, []any)              {}

func newItems(r *chat.Request) *items { return &items{r: r, list: []outputItem{}, hooks: silent{}} }

// Names of streamed texts, as the API's events have them.
const (
	deltaText      = "response.output_text"
	deltaRefusal   = "response.refusal"
	deltaReasoning = "response.reasoning_summary_text"
	deltaArguments = "response.function_call_arguments"
	deltaInput     = "response.custom_tool_call_input"
)

// prefixes of ids by the type of the item.
var prefixes = map[string]string{"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc", "web_search_call": "ws"}

// begin opens an item of a type, unless the last one is open and of it. Calls stay open beside each other, because some
// upstreams write the arguments of several in turns.
func (w *items) begin(kind string, o outputItem) *outputItem {
	if last := w.last(); last != nil && last.Type == kind && (kind == "message" || kind == "reasoning") {
		return last
	}
	w.closeTexts()
	if o.CallID == "" {
		w.closeCalls()
	}
	if !w.busy() {
		w.tell()
	}
	o.Type, o.Status, o.ID, o.open = kind, "in_progress", itemID(prefixes[kind], w.r, len(w.list)), true
	w.list = append(w.list, o)
	w.hooks.added(len(w.list)-1, &w.list[len(w.list)-1])
	return &w.list[len(w.list)-1]
}

// last is the last item, if it is open; nil: it is not.
func (w *items) last() *outputItem {
	if n := len(w.list); n > 0 && w.list[n-1].open {
		return &w.list[n-1]
	}
	return nil
}

// busy says that an item is open.
func (w *items) busy() bool {
	return slices.ContainsFunc(w.list, func(o outputItem) bool { return o.open })
}

// finish ends every open item and tells what is still to be told.
func (w *items) finish() {
	w.close()
	w.tell()
}

// close ends every open item.
func (w *items) close() {
	for i := range w.list {
		w.end(i)
	}
}

// closeTexts ends every open item that is no call.
func (w *items) closeTexts() {
	for i := range w.list {
		if w.list[i].CallID == "" {
			w.end(i)
		}
	}
}

// closeCalls ends every open call to which nothing can be added: the rest of the arguments of others may come behind a text.
func (w *items) closeCalls() {
	for i := range w.list {
		if o := &w.list[i]; o.Type == "custom_tool_call" || o.Type == "function_call" && json.Valid([]byte(o.Arguments)) {
			w.end(i)
		}
	}
}

func (w *items) end(i int) {
	o := &w.list[i]
	if !o.open {
		return
	}
	if i == len(w.list)-1 {
		w.closePart()
	}
	if o.Type == "reasoning" && o.Text != "" {
		w.hooks.partDone(i, 0, outputPart{Type: "summary_text", Text: &o.Text})
	}
	if o.Type == "function_call" && o.Arguments == "" {
		o.Arguments = "{}"
		w.hooks.delta(deltaArguments, i, 0, "{}")
	}
	o.Status, o.open = "completed", false
	w.hooks.done(i, o)
}

// closePart ends the last part of an open message.
func (w *items) closePart() {
	if o := w.last(); o != nil && o.Type == "message" && len(o.Content) > 0 {
		n := len(o.Content) - 1
		w.hooks.partDone(len(w.list)-1, n, o.Content[n])
	}
}

// part takes a whole part of an answer.
func (w *items) part(p *chat.Part) {
	switch p.Kind {
	case chat.PartText:
		w.signature(p.Signature)
		w.wholeText(p)
	case chat.PartRefusal:
		w.refuse(p.Text)
	case chat.PartThought:
		w.think(p.Thought.Text)
		w.sign(p.Thought)
	case chat.PartCall:
		w.call(p.Call)
	}
}

// content is the message's last part of a type, made if need be.
func (w *items) content(kind string, empty func() outputPart) (i, n int, p *outputPart) {
	o := w.begin("message", outputItem{})
	i = len(w.list) - 1
	if n = len(o.Content) - 1; n < 0 || o.Content[n].Type != kind {
		w.closePart()
		o.Content = append(o.Content, empty())
		n++
		w.hooks.partAdded(i, n, o.Content[n])
	}
	return i, n, &o.Content[n]
}

func (w *items) text(text string) {
	i, n, p := w.content("output_text", func() outputPart { return textPart("", nil) })
	whole := *p.Text + text
	p.Text = &whole
	w.hooks.delta(deltaText, i, n, text)
}

func (w *items) refuse(text string) {
	i, n, p := w.content("refusal", func() outputPart { return refusalPart("") })
	whole := *p.Refusal + text
	p.Refusal = &whole
	w.hooks.delta(deltaRefusal, i, n, text)
}

// refused tells a refusal that came as the reason of the end, where the model said nothing of it itself.
func (w *items) refused(f chat.Finish) {
	if f.Reason != chat.FinishRefusal {
		return
	}
	for _, o := range w.list {
		for _, p := range o.Content {
			if p.Type == "refusal" {
				return
			}
		}
	}
	text := f.Explanation
	if text == "" {
		text = "The model refused to answer."
	}
	w.refuse(text)
}

func (w *items) think(text string) {
	o := w.begin("reasoning", outputItem{})
	if o.Encrypted != "" { // another thought
		w.closeTexts()
		o = w.begin("reasoning", outputItem{})
	}
	if text == "" {
		return
	}
	i := len(w.list) - 1
	if o.Text == "" {
		empty := ""
		w.hooks.partAdded(i, 0, outputPart{Type: "summary_text", Text: &empty})
	}
	o.Text += text
	w.hooks.delta(deltaReasoning, i, 0, text)
}

// sign ends a thought with what its maker needs back.
func (w *items) sign(t *chat.Thought) {
	o := w.begin("reasoning", outputItem{})
	whole := *t
	if whole.Text == "" {
		whole.Text = o.Text
	}
	if o.Encrypted = carry(&whole); o.Encrypted != "" {
		w.closeTexts()
	}
}

// signature carries that of the call, or the text, that follows.
func (w *items) signature(s string) {
	if s == "" {
		return
	}
	w.closeTexts()
	w.begin("reasoning", outputItem{}).Encrypted = carried{Call: s}.String()
	w.closeTexts()
}

func (w *items) call(c *chat.ToolCall) {
	w.signature(c.Signature)
	kind := "function_call"
	if c.Custom {
		kind = "custom_tool_call"
	}
	id := c.ID
	if id == "" { // clients cannot answer a call without one
		id = itemID("call", w.r, len(w.calls))
	}
	w.begin(kind, outputItem{CallID: id, Name: c.Name})
	w.calls = append(w.calls, len(w.list)-1)
	w.arguments(len(w.calls)-1, c.Arguments)
}

// arguments are the next bytes of those of the call with that ordinal; there is none for bytes that come too early.
func (w *items) arguments(call int, text string) {
	if call < 0 || call >= len(w.calls) || text == "" {
		return
	}
	i := w.calls[call]
	o := &w.list[i]
	if !o.open {
		return
	}
	o.Arguments += text
	kind := deltaArguments
	if o.Type == "custom_tool_call" {
		kind = deltaInput
	}
	w.hooks.delta(kind, i, 0, text)
}
