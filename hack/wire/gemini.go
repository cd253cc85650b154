package wire

import (
	"encoding/json"
	"strings"
)

type geminiChunk struct {
	Candidates []struct {
		Index   int
		Content struct {
			Parts []struct {
				Text      string
				Thought   bool
				Signature string `json:"thoughtSignature"`
				Call      *struct {
					ID, Name string
					Args     json.RawMessage
				} `json:"functionCall"`
			}
		}
		Finish    json.RawMessage `json:"finishReason"`
		Message   string          `json:"finishMessage"`
		Grounding *struct {
			Queries []string `json:"webSearchQueries"`
			Chunks  []struct {
				Web *struct{ URI string }
			} `json:"groundingChunks"`
			Supports []struct {
				Segment struct{ Text string }
				Indices []int `json:"groundingChunkIndices"`
			} `json:"groundingSupports"`
		} `json:"groundingMetadata"`
	}
	Feedback *struct {
		Reason  string `json:"blockReason"`
		Message string `json:"blockReasonMessage"`
	} `json:"promptFeedback"`
	Usage *struct {
		Prompt     int64 `json:"promptTokenCount"`
		Results    int64 `json:"toolUsePromptTokenCount"`
		Cached     int64 `json:"cachedContentTokenCount"`
		Candidates int64 `json:"candidatesTokenCount"`
		Thoughts   int64 `json:"thoughtsTokenCount"`
	} `json:"usageMetadata"`
	Error *geminiError
}

type geminiError struct {
	Code            int
	Message, Status string
}

// geminiFinishes are finish reasons; others are a stop.
var geminiFinishes = map[string]string{
	"MAX_TOKENS": FinishLength, "2": FinishLength, "3": FinishFilter, "4": FinishFilter, "SAFETY": FinishFilter, "RECITATION": FinishFilter, "BLOCKLIST": FinishFilter,
	"PROHIBITED_CONTENT": FinishFilter, "SPII": FinishFilter, "IMAGE_SAFETY": FinishFilter, "MODEL_ARMOR": FinishFilter,
}

// Gemini reads what generateContent or streamGenerateContent answered.
func Gemini(status int, stream bool, body []byte) View {
	var v View
	queries := map[string]bool{}
	for _, raw := range geminiChunks(stream, body) {
		var c geminiChunk
		if err := json.Unmarshal(raw, &c); err != nil {
			v.Failure = &Failure{Status: status, Message: string(raw)}
			break
		}
		if c.Error != nil {
			v.Failure = &Failure{Status: status, Type: c.Error.Status, Message: c.Error.Message}
			if status == 200 {
				v.Failure.Status = c.Error.Code
			}
			break
		}
		v.gemini(&c, queries)
	}
	if v.Usage != nil {
		v.Usage.Searches = int64(len(queries))
	}
	return v.settle()
}

// geminiChunks are the objects of an answer: one, a list of them, or the events of a stream, behind which an error may stand
// that is none.
func geminiChunks(stream bool, body []byte) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil {
		return list
	}
	if !stream {
		return []json.RawMessage{body}
	}
	for _, e := range events(body) {
		list = append(list, json.RawMessage(e.data))
	}
	if at := strings.LastIndex(string(body), "\n{"); at >= 0 && json.Valid(body[at:]) {
		list = append(list, body[at:])
	}
	return list
}

func (v *View) gemini(c *geminiChunk, queries map[string]bool) {
	if c.Feedback != nil && c.Feedback.Reason != "" {
		v.choice(0).Finish = FinishFilter
	}
	for _, one := range c.Candidates {
		to := v.choice(one.Index)
		for _, p := range one.Content.Parts {
			to.Opaque = append(to.Opaque, p.Signature)
			switch {
			case p.Call != nil:
				to.Calls = append(to.Calls, Call{p.Call.ID, p.Call.Name, string(p.Call.Args)})
			case p.Thought:
				to.Reasoning += p.Text
			default:
				to.Text += p.Text
			}
		}
		if finish := strings.Trim(string(one.Finish), `"`); finish != "" {
			if to.Finish = geminiFinishes[finish]; to.Finish == "" {
				to.Finish = FinishStop
			}
		}
		if to.Finish == FinishStop && len(to.Calls) > 0 {
			to.Finish = FinishTools
		}
		if g := one.Grounding; g != nil {
			for _, q := range g.Queries {
				queries[q] = true
			}
			for _, s := range g.Chunks {
				if s.Web != nil {
					v.Sources = append(v.Sources, s.Web.URI)
				}
			}
			for _, s := range g.Supports {
				for _, i := range s.Indices {
					if i < len(g.Chunks) && g.Chunks[i].Web != nil {
						to.Cited = append(to.Cited, Cited{g.Chunks[i].Web.URI, s.Segment.Text})
					}
				}
			}
		}
	}
	if u := c.Usage; u != nil {
		v.Usage = &Usage{
			Input: u.Prompt + u.Results - u.Cached, Read: u.Cached, Output: u.Candidates + u.Thoughts, Reasoning: u.Thoughts,
		}
	}
}
