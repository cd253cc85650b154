package chat

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// Answer is a unary answer in no protocol's words.
type Answer struct {
	// ID is the provider's; may be empty.
	ID string
	// Model is the provider's own id of the model that answered; may be empty.
	Model string
	// Created is in Unix seconds; 0: not said.
	Created int64
	// Choices, usually one.
	Choices []Choice
	// Sources are what a search found, in its order.
	Sources []Source
}

// Choice is one of the answers.
type Choice struct {
	Index int64
	Parts []Part
	Finish
	// Logprobs is OpenAI's object for the choice; nil: none.
	Logprobs json.RawMessage
}

// Finish says why an answer ended.
type Finish struct {
	Reason FinishReason
	// Sequence is the stop sequence, where FinishSequence is the reason and the provider says which.
	Sequence string
	// Native is the provider's own word; may be empty.
	Native string
	// Explanation is for people, where the provider gives one with a refusal or a filter.
	Explanation string
}

// FinishReason is why an answer ended.
type FinishReason string

// Reasons.
const (
	FinishStop     FinishReason = "stop"
	FinishSequence FinishReason = "stop_sequence"
	FinishLength   FinishReason = "length"
	// FinishTools: the tools are to be run. It wins over FinishStop where any tool was called.
	FinishTools FinishReason = "tools"
	// FinishFilter: a filter of the provider's ended it.
	FinishFilter FinishReason = "filter"
	// FinishRefusal: the model declined.
	FinishRefusal FinishReason = "refusal"
	// FinishPause: the provider paused a long turn; the same conversation with this answer continues it.
	FinishPause FinishReason = "pause"
)

// Citation says where a text was found.
type Citation struct {
	URL, Title string
	// Quote is the text cited; may be empty.
	Quote string
	// Start and End are offsets in UTF-16 code units into the text of its part, End exclusive; both 0: the whole of it.
	Start, End int64
	// Native is the provider's own object, for a client of the same protocol; may be nil.
	Native json.RawMessage
}

// Source is one result of a search.
type Source struct {
	URL, Title, Snippet, Date string
}

// PieceKind says which of a Piece's fields count.
type PieceKind string

// Kinds of pieces. Pieces of one kind that follow each other belong together; a piece of another kind, or with another
// Index, begins something new.
const (
	// PieceStart has ID and Model; the first, once.
	PieceStart PieceKind = "start"
	// PieceText, PieceRefusal and PieceReasoning have Text: the next bytes of it.
	PieceText      PieceKind = "text"
	PieceRefusal   PieceKind = "refusal"
	PieceReasoning PieceKind = "reasoning"
	// PieceSigned has Thought with Signature, or Encrypted: a signature closes the reasoning text before it, whose text it
	// does not repeat; something encrypted stands for itself.
	PieceSigned PieceKind = "signed"
	// PieceCall has Call with ID and Name (and Signature): a call begins. Its Arguments may be there already.
	PieceCall PieceKind = "call"
	// PieceArguments has Text: the next bytes of the arguments of call Index.
	PieceArguments PieceKind = "arguments"
	// PieceCitation has Citation, for the text so far. Citations, sources and usage end no part: their offsets, and the text
	// that follows, belong to the same one.
	PieceCitation PieceKind = "citation"
	// PieceSource has Source.
	PieceSource PieceKind = "source"
	// PieceLogprobs has Raw: OpenAI's object for the choice.
	PieceLogprobs PieceKind = "logprobs"
	// PieceFinish has Finish; once for each choice.
	PieceFinish PieceKind = "finish"
	// PieceUsage has Usage: all so far, not what came since.
	PieceUsage PieceKind = "usage"
)

// Piece is the smallest unit of a streamed answer in no protocol's words.
type Piece struct {
	Kind PieceKind
	// Choice is the index of the choice.
	Choice int64
	// Index counts the choice's tool calls, from 0 without gaps, for PieceCall and PieceArguments.
	Index int

	ID, Model string
	Text      string
	Thought   *Thought
	Call      *ToolCall
	Citation  *Citation
	Source    *Source
	Raw       json.RawMessage
	Finish    *Finish
	Usage     *pricing.Usage
}

// Content says that the piece is something of the answer itself.
func (p *Piece) Content() bool {
	switch p.Kind {
	case PieceText, PieceRefusal, PieceReasoning:
		return p.Text != ""
	case PieceSigned, PieceCall, PieceArguments:
		return true
	}
	return false
}

// OutputBytes counts text, reasoning and the names and arguments of tools.
func (p *Piece) OutputBytes() int64 {
	n := len(p.Text)
	if p.Call != nil {
		n += len(p.Call.Name) + len(p.Call.Arguments)
	}
	return int64(n)
}
