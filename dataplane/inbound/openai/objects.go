package openai

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file has the objects of an answer, their members in OpenAI's order; those of others behind.

// completion is a chat.completion and, with deltas, a chat.completion.chunk.
type completion struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	Model   string         `json:"model"`
	Choices []choiceObject `json:"choices"`
	// Usage is *usageObject; jsonNull in the chunks before the one that tells it; nil: no member.
	Usage any `json:"usage,omitempty"`
	// Citations and SearchResults are Perplexity's.
	Citations     []string       `json:"citations,omitempty"`
	SearchResults []resultObject `json:"search_results,omitempty"`
}

var jsonNull = json.RawMessage("null")

type choiceObject struct {
	Index   int64          `json:"index"`
	Message *messageObject `json:"message,omitempty"`
	Delta   *deltaObject   `json:"delta,omitempty"`
	// Logprobs and FinishReason are null where there are none.
	Logprobs     json.RawMessage `json:"logprobs"`
	FinishReason *string         `json:"finish_reason"`
	// NativeFinishReason is OpenRouter's: the provider's own word.
	NativeFinishReason string `json:"native_finish_reason,omitempty"`
}

// messageObject is the message of a unary answer: content and refusal are null where there are none.
type messageObject struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
	extras
	ToolCalls []callObject `json:"tool_calls,omitempty"`
	// FunctionCall answers a request with the older functions.
	FunctionCall *functionObject `json:"function_call,omitempty"`
}

// deltaObject is what a chunk adds to a message.
type deltaObject struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"`
	extras
	ToolCalls    []callObject    `json:"tool_calls,omitempty"`
	FunctionCall *functionObject `json:"function_call,omitempty"`
}

// extras are the members that messages and deltas have beside OpenAI's. Reasoning stands under both names that clients look
// for: reasoning_content (DeepSeek, LiteLLM) and reasoning (OpenRouter, Vercel); clients that know both take the first alone.
type extras struct {
	ReasoningContent string             `json:"reasoning_content,omitempty"`
	Reasoning        string             `json:"reasoning,omitempty"`
	ReasoningDetails []detailObject     `json:"reasoning_details,omitempty"`
	Annotations      []annotationObject `json:"annotations,omitempty"`
}

type callObject struct {
	// Index is there in chunks alone: it counts the calls of a choice.
	Index    *int            `json:"index,omitempty"`
	ID       string          `json:"id,omitempty"`
	Type     string          `json:"type,omitempty"`
	Function *functionObject `json:"function,omitempty"`
	Custom   *customObject   `json:"custom,omitempty"`
	Extra    *extraContent   `json:"extra_content,omitempty"`
}

type functionObject struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type customObject struct {
	Name  string `json:"name,omitempty"`
	Input string `json:"input"`
}

// extraContent is how Google's own OpenAI-compatible address spells the signature of a call.
type extraContent struct {
	Google struct {
		ThoughtSignature string `json:"thought_signature"`
	} `json:"google"`
}

func extraOf(signature string) *extraContent {
	if signature == "" {
		return nil
	}
	e := &extraContent{}
	e.Google.ThoughtSignature = signature
	return e
}

type annotationObject struct {
	Type        string         `json:"type"`
	URLCitation citationObject `json:"url_citation"`
}

type citationObject struct {
	EndIndex   int64  `json:"end_index"`
	StartIndex int64  `json:"start_index"`
	Title      string `json:"title"`
	URL        string `json:"url"`
}

// annotation writes a citation of the text between two offsets of the whole content.
func annotation(c *chat.Citation, start, end int64) annotationObject {
	return annotationObject{Type: "url_citation", URLCitation: citationObject{EndIndex: end, StartIndex: start, Title: c.Title, URL: c.URL}}
}

type resultObject struct {
	Title   string `json:"title"`
	URL     string `json:"url"`
	Date    string `json:"date,omitempty"`
	Snippet string `json:"snippet,omitempty"`
}

// tell puts the sources of a search into the object.
func (c *completion) tell(sources []chat.Source) {
	for _, s := range sources {
		c.Citations = append(c.Citations, s.URL)
		c.SearchResults = append(c.SearchResults, resultObject{Title: s.Title, URL: s.URL, Date: s.Date, Snippet: s.Snippet})
	}
}

type usageObject struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
	PromptDetails    struct {
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
	// CacheCreation counts the tokens of the prompt that were written to a cache; Written says for how long.
	CacheCreation int64         `json:"cache_creation_input_tokens"`
	Written       *writtenUsage `json:"cache_creation,omitempty"`
	Server        *serverUsage  `json:"server_tool_use,omitempty"`
	// Cost is a number in USD.
	Cost json.RawMessage `json:"cost,omitempty"`
}

type writtenUsage struct {
	FiveMinutes int64 `json:"ephemeral_5m_input_tokens"`
	Hour        int64 `json:"ephemeral_1h_input_tokens"`
}

type serverUsage struct {
	WebSearches int64 `json:"web_search_requests"`
}

// usageOf adds the cached and the written tokens to the prompt's, as OpenAI counts them.
func usageOf(t chat.Total) *usageObject {
	u := t.Usage
	o := &usageObject{CompletionTokens: u.Output, CacheCreation: u.CacheWrite + u.CacheWrite1h}
	o.PromptTokens = u.Input + u.CacheRead + o.CacheCreation
	o.TotalTokens = o.PromptTokens + o.CompletionTokens
	o.PromptDetails.CachedTokens = u.CacheRead
	o.CompletionDetails.ReasoningTokens = u.Reasoning
	if o.CacheCreation > 0 {
		o.Written = &writtenUsage{FiveMinutes: u.CacheWrite, Hour: u.CacheWrite1h}
	}
	if u.Searches > 0 {
		o.Server = &serverUsage{WebSearches: u.Searches}
	}
	if t.CostUSD != "" {
		o.Cost = json.RawMessage(t.CostUSD)
	}
	return o
}

// answerID is the id of an answer: the same in all its chunks, whenever the provider tells its own.
func answerID(r *chat.Request, upstream string) string {
	if r.ID == "" {
		return "chatcmpl-" + strings.TrimPrefix(upstream, "chatcmpl-")
	}
	return "chatcmpl-" + strings.TrimPrefix(r.ID, "req_")
}

// finishReason is OpenAI's word for why an answer ended.
func finishReason(f *chat.Finish, calls, legacy bool) *string {
	word := "stop"
	switch f.Reason {
	case chat.FinishLength:
		word = "length"
	case chat.FinishFilter, chat.FinishRefusal:
		word = "content_filter"
	case chat.FinishTools:
		word = "tool_calls"
	case chat.FinishStop, chat.FinishSequence, chat.FinishPause:
		if calls {
			word = "tool_calls"
		}
	}
	if word == "tool_calls" && legacy {
		word = "function_call"
	}
	return &word
}

// legacy says that the client asked with functions, which were there before tools.
func legacy(r *chat.Request) bool {
	return !jsonscan.IsNull(r.Fields.Value(r.Body, "functions")) && jsonscan.IsNull(r.Fields.Value(r.Body, "tools"))
}
