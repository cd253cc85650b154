package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// streamChoice is what must be remembered of one choice while it streams.
type streamChoice struct {
	index   int64
	calls   []streamCall
	finish  *chat.Finish
	refused bool
	// annotations are told at the end.
	annotations []annotationObject

	// units is the length of the content in UTF-16 code units; part is where its current part begins, cited where the text
	// begins that no citation speaks of yet, and before where it began for the citation before.
	units, part, cited, before int64
	// broken says that something else came since the last text: the next text begins a part.
	broken bool

	// thoughts counts them; open says that the last one has text and may still be signed.
	thoughts int
	open     bool
	// text is that of the open thought; signed are those that the next call carries.
	text   strings.Builder
	signed []chat.Thought
	size   int
}

type streamCall struct {
	custom bool
	// filled says that arguments were written.
	filled bool
}

// write counts a piece of the content.
func (c *streamChoice) write(text string) {
	if c.broken {
		c.part, c.cited = c.units, c.units
	}
	c.broken, c.open = false, false
	c.units += units(text)
}

// inText says that the last thing that came was text.
func (c *streamChoice) inText() bool { return !c.broken && c.units > 0 }

// apart notes that something other than text came.
func (c *streamChoice) apart() { c.broken, c.open = true, false }

// maxAnnotations bounds what a provider can make the writer remember.
const maxAnnotations = 10_000

// cite notes a citation, with its offsets in the content.
func (c *streamChoice) cite(cited *chat.Citation) {
	if cited == nil || cited.URL == "" && cited.Title == "" || len(c.annotations) >= maxAnnotations {
		return
	}
	from, to := c.span(cited)
	c.annotations = append(c.annotations, annotation(cited, from, to))
}

// span gives the offsets of a citation. One without offsets speaks of the text since the citation before it; several may
// speak of the same.
func (c *streamChoice) span(cited *chat.Citation) (from, to int64) {
	if cited.Start != 0 || cited.End != 0 {
		return c.part + cited.Start, c.part + cited.End
	}
	if c.cited < c.units {
		c.before, c.cited = c.cited, c.units
	}
	return c.before, c.units
}

// think notes the next bytes of reasoning and gives their thought's index.
func (c *streamChoice) think(text string) int {
	c.broken = true
	if !c.open {
		c.open = true
		c.thoughts++
		c.text.Reset()
	}
	// A thought that no id can carry needs not be remembered.
	if c.text.Len() <= maxInflated {
		c.text.WriteString(text)
	}
	return c.thoughts - 1
}

// sign closes the open thought, or is a thought of its own, and gives its index.
func (c *streamChoice) sign(t *chat.Thought) int {
	whole := *t
	c.broken = true
	joins := t.Encrypted == "" || t.Format == chat.FormatOpenAI
	if c.open && joins {
		whole.Text = c.text.String()
	} else {
		c.thoughts++
	}
	c.open = false
	c.size += len(whole.Text) + len(whole.Signature) + len(whole.Encrypted)
	if c.size <= maxInflated {
		c.signed = append(c.signed, whole)
	}
	return c.thoughts - 1
}

// take gives the signed thoughts since the call before; none where they are too large to be carried.
func (c *streamChoice) take() []chat.Thought {
	out := c.signed
	if c.size > maxInflated {
		out = nil
	}
	c.signed, c.size = nil, 0
	c.apart()
	return out
}
