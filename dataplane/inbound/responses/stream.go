package responses

import "github.com/layers-dev/layers/dataplane/chat"

// stream writes the events of one response. Its hooks write what the items tell.
type stream struct {
	items    *items
	r        *chat.Request
	created  bool
	sequence int64
	finish   chat.Finish
	dst      []byte
}

func newStream(r *chat.Request) *stream {
	s := &stream{r: r, items: newItems(r)}
	s.items.hooks = s
	return s
}

// Write takes the next piece; only the first choice can be told.
func (s *stream) Write(dst []byte, p *chat.Piece) []byte {
	s.dst = dst
	s.begin()
	if p.Choice == 0 {
		s.take(p)
	}
	return s.dst
}

func (s *stream) take(p *chat.Piece) {
	switch p.Kind {
	case chat.PieceText:
		s.items.text(p.Text)
	case chat.PieceRefusal:
		s.items.refuse(p.Text)
	case chat.PieceReasoning:
		s.items.think(p.Text)
	case chat.PieceSigned:
		s.items.sign(p.Thought)
	case chat.PieceCall:
		s.items.call(p.Call)
	case chat.PieceArguments:
		s.items.arguments(p.Index, p.Text)
	case chat.PieceCitation:
		s.items.cite(p.Citation)
	case chat.PieceSource:
		s.items.source(p.Source)
	case chat.PieceLogprobs:
		s.items.logprobs(p.Raw)
	case chat.PieceFinish:
		s.finish = *p.Finish
	}
}

// End closes what is open and writes the whole response once more, with its usage. The protocol has no other end marker.
func (s *stream) End(dst []byte, t chat.Total) []byte {
	s.dst = dst
	s.begin()
	s.items.refused(s.finish)
	s.items.finish()
	whole := base(s.r, 0)
	whole.Output = s.items.list
	whole.finish(s.finish, whole.CreatedAt)
	whole.Usage = usageOf(t)
	s.state("response."+whole.Status, whole)
	return s.dst
}

func (s *stream) begin() {
	if s.created {
		return
	}
	s.created = true
	s.state("response.created", base(s.r, 0))
	s.state("response.in_progress", base(s.r, 0))
}

// next numbers an event.
func (s *stream) next() int64 {
	n := s.sequence
	s.sequence++
	return n
}

func (s *stream) event(name string, v any) { s.dst = event(s.dst, name, v) }

func (s *stream) state(name string, r response) {
	s.event(name, struct {
		Type     string   `json:"type"`
		Sequence int64    `json:"sequence_number"`
		Response response `json:"response"`
	}{name, s.next(), r})
}

type itemEvent struct {
	Type     string     `json:"type"`
	Sequence int64      `json:"sequence_number"`
	Index    int        `json:"output_index"`
	Item     outputItem `json:"item"`
}

func (s *stream) added(i int, o *outputItem) {
	const name = "response.output_item.added"
	bare := *o
	bare.Arguments = ""
	s.event(name, itemEvent{name, s.next(), i, bare})
}

func (s *stream) done(i int, o *outputItem) {
	switch o.Type {
	case "function_call":
		s.event(deltaArguments+".done", struct {
			Type      string `json:"type"`
			Sequence  int64  `json:"sequence_number"`
			ItemID    string `json:"item_id"`
			Index     int    `json:"output_index"`
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		}{deltaArguments + ".done", s.next(), o.ID, i, o.Name, o.Arguments})
	case "custom_tool_call":
		s.event(deltaInput+".done", struct {
			Type     string `json:"type"`
			Sequence int64  `json:"sequence_number"`
			ItemID   string `json:"item_id"`
			Index    int    `json:"output_index"`
			Input    string `json:"input"`
		}{deltaInput + ".done", s.next(), o.ID, i, o.Arguments})
	}
	const name = "response.output_item.done"
	s.event(name, itemEvent{name, s.next(), i, *o})
}

// partEvent is of a part of a message, or of a reasoning item's summary: only their indices have different names.
type partEvent struct {
	Type     string     `json:"type"`
	Sequence int64      `json:"sequence_number"`
	ItemID   string     `json:"item_id"`
	Index    int        `json:"output_index"`
	Content  *int       `json:"content_index,omitempty"`
	Summary  *int       `json:"summary_index,omitempty"`
	Part     outputPart `json:"part"`
}

func (s *stream) part(what string, i, n int, p outputPart) {
	e := partEvent{Type: "response.content_part." + what, ItemID: s.items.list[i].ID, Index: i, Content: &n, Part: p}
	if s.items.list[i].Type == "reasoning" {
		e.Type, e.Content, e.Summary = "response.reasoning_summary_part."+what, nil, &n
	}
	e.Sequence = s.next()
	s.event(e.Type, e)
}

func (s *stream) partAdded(i, n int, p outputPart) { s.part("added", i, n, p) }

func (s *stream) partDone(i, n int, p outputPart) {
	kind, e := deltaText, textEvent{Text: p.Text, Logprobs: p.Logprobs}
	switch {
	case s.items.list[i].Type == "reasoning":
		kind = deltaReasoning
	case p.Type == "refusal":
		kind, e = deltaRefusal, textEvent{Refusal: p.Refusal}
	}
	s.text(kind, ".done", i, n, e)
	s.part("done", i, n, p)
}

// textEvent is a delta or the end of a text.
type textEvent struct {
	Type     string  `json:"type"`
	Sequence int64   `json:"sequence_number"`
	ItemID   string  `json:"item_id"`
	Index    int     `json:"output_index"`
	Content  *int    `json:"content_index,omitempty"`
	Summary  *int    `json:"summary_index,omitempty"`
	Delta    *string `json:"delta,omitempty"`
	Text     *string `json:"text,omitempty"`
	Refusal  *string `json:"refusal,omitempty"`
	Logprobs []any   `json:"logprobs,omitzero"`
}

func (s *stream) text(kind, what string, i, n int, e textEvent) {
	e.Type, e.Sequence, e.ItemID, e.Index = kind+what, s.next(), s.items.list[i].ID, i
	switch kind {
	case deltaReasoning:
		e.Summary = &n
	case deltaText:
		e.Content = &n
		if e.Logprobs == nil {
			e.Logprobs = []any{}
		}
	case deltaRefusal:
		e.Content = &n
	}
	s.event(e.Type, e)
}

func (s *stream) delta(kind string, i, n int, text string) {
	s.text(kind, ".delta", i, n, textEvent{Delta: &text})
}

// tokens tells log probabilities in a delta of their own: a provider may tell them apart from the text.
func (s *stream) tokens(i, n int, list []any) {
	empty := ""
	s.text(deltaText, ".delta", i, n, textEvent{Delta: &empty, Logprobs: list})
}

func (s *stream) annotated(i, n, count int, a annotation) {
	const name = "response.output_text.annotation.added"
	s.event(name, struct {
		Type       string     `json:"type"`
		Sequence   int64      `json:"sequence_number"`
		ItemID     string     `json:"item_id"`
		Index      int        `json:"output_index"`
		Content    int        `json:"content_index"`
		Number     int        `json:"annotation_index"`
		Annotation annotation `json:"annotation"`
	}{name, s.next(), s.items.list[i].ID, i, n, count, a})
}
