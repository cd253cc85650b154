package anthropic

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Blocks of an answer, as the API writes them.
type (
	textBlock struct {
		Type      string     `json:"type"`
		Text      string     `json:"text"`
		Citations []citation `json:"citations,omitempty"`
	}
	thinkingBlock struct {
		Type      string `json:"type"`
		Thinking  string `json:"thinking"`
		Signature string `json:"signature"`
	}
	redactedBlock struct {
		Type string `json:"type"`
		Data string `json:"data"`
	}
	callBlock struct {
		Type  string          `json:"type"`
		ID    string          `json:"id"`
		Name  string          `json:"name"`
		Input json.RawMessage `json:"input"`
	}
	searchBlock struct {
		Type    string         `json:"type"`
		CallID  string         `json:"tool_use_id"`
		Content []searchResult `json:"content"`
	}
	searchResult struct {
		Type      string  `json:"type"`
		Title     string  `json:"title"`
		URL       string  `json:"url"`
		Encrypted string  `json:"encrypted_content"`
		Age       *string `json:"page_age"`
	}
	citation struct {
		Type      string  `json:"type"`
		CitedText string  `json:"cited_text"`
		URL       string  `json:"url"`
		Title     *string `json:"title"`
		// Encrypted is empty: what Anthropic's API takes back is known only to itself.
		Encrypted string `json:"encrypted_index"`
	}
)

// blockWriter collects the blocks of a unary answer.
type blockWriter struct {
	request *chat.Request
	content []any
	// calls and searches count what has been written, for ids.
	calls, searches int
	refused         bool
	// sealed says that the last text has a signature, which is for its words alone.
	sealed bool
}

func (w *blockWriter) add(block any) { w.content = append(w.content, block) }

func (w *blockWriter) part(p *chat.Part) {
	switch p.Kind {
	case chat.PartText, chat.PartRefusal:
		w.refused = w.refused || p.Kind == chat.PartRefusal
		w.text(p)
	case chat.PartThought:
		if p.Thought != nil {
			w.add(thoughtBlock(p.Thought))
		}
	case chat.PartCall:
		if p.Call != nil {
			w.call(p.Call)
		}
	}
}

// text writes a text, behind the signature that it has of its own: clients look for the words in the last block.
func (w *blockWriter) text(p *chat.Part) {
	if p.Signature != "" {
		w.add(thinkingBlock{Type: "thinking", Signature: textSignature(p)})
	}
	if p.Text == "" {
		return
	}
	if w.goesOn(p) {
		return
	}
	b := textBlock{Type: "text", Text: p.Text}
	for i := range p.Citations {
		if p.Citations[i].URL != "" {
			b.Citations = append(b.Citations, citationOf(&p.Citations[i]))
		}
	}
	w.add(b)
	w.sealed = p.Signature != ""
}

// goesOn adds a text to the one before it: a provider's seams between texts mean nothing, and many clients read one text.
// Citations keep a text apart.
func (w *blockWriter) goesOn(p *chat.Part) bool {
	n := len(w.content)
	if n == 0 || len(p.Citations) > 0 || w.sealed {
		return false
	}
	last, ok := w.content[n-1].(textBlock)
	if !ok || len(last.Citations) > 0 {
		return false
	}
	last.Text += p.Text
	w.content[n-1] = last
	return true
}

func thoughtBlock(t *chat.Thought) any {
	if redacted(t) {
		return redactedBlock{"redacted_thinking", t.Encrypted}
	}
	return thinkingBlock{"thinking", t.Text, signatureOf(t)}
}

func (w *blockWriter) call(c *chat.ToolCall) {
	if c.Signature != "" {
		w.add(thinkingBlock{Type: "thinking", Signature: callSignature(c.Signature)})
	}
	w.add(callBlock{"tool_use", callID(w.request, c.ID, w.calls), c.Name, inputOf(c.Arguments)})
	w.calls++
}

// sources are told as the two blocks that the provider's own search has: clients read the results there.
func (w *blockWriter) sources(s []chat.Source) {
	if len(s) == 0 {
		return
	}
	call, result := searchBlocks(w.request, s, w.searches)
	w.searches++
	w.add(call)
	w.add(result)
}

// searchID begins the ids of the searches that we tell of, so that they are known again; Anthropic's begin with srvtoolu_01.
const searchID = "srvtoolu_layers_"

// searchBlocks makes the blocks of the n-th search. The query is not known.
func searchBlocks(r *chat.Request, sources []chat.Source, n int) (callBlock, searchBlock) {
	id := numbered(searchID, r, n)
	result := searchBlock{Type: "web_search_tool_result", CallID: id, Content: []searchResult{}}
	for i := range sources {
		s := searchResult{Type: "web_search_result", Title: sources[i].Title, URL: sources[i].URL}
		if sources[i].Date != "" {
			s.Age = &sources[i].Date
		}
		result.Content = append(result.Content, s)
	}
	return callBlock{"server_tool_use", id, "web_search", json.RawMessage("{}")}, result
}

func citationOf(c *chat.Citation) citation {
	out := citation{Type: "web_search_result_location", CitedText: c.Quote, URL: c.URL}
	if c.Title != "" {
		out.Title = &c.Title
	}
	return out
}
