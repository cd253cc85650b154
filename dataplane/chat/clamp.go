package chat

import (
	"slices"
	"strconv"
	"sync"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Clamp is the request with at most so many output tokens for each choice, for an upstream; the client's own stays as it is.
// names are the body's fields that bound an answer: those that are above most become it, and where there is none the first
// is set. more, which may be nil, are further edits of the body, made out of its fields.
func (r *Request) Clamp(most int64, more func(fields jsonscan.Object) []jsonscan.Edit, names ...string) *Request {
	out := *r
	edits := r.limits(most, names)
	if more != nil {
		edits = append(edits, more(r.Fields)...)
	}
	slices.SortStableFunc(edits, func(a, b jsonscan.Edit) int { return a.Start - b.Start })
	body := jsonscan.Splice(r.Body, edits...)
	if fields, err := jsonscan.Scan(body); err == nil { // it was an object before, and still is one
		out.Body, out.Fields = body, fields
	}
	out.MaxOutputTokens = less(r.MaxOutputTokens, most)
	if r.Translate != nil {
		out.Translate = sync.OnceValues(func() (*Prompt, error) {
			p, err := r.Translate()
			if err != nil {
				return nil, err
			}
			return p.clamp(most), nil
		})
	}
	return &out
}

// limits are the edits that bring the limits down to most.
func (r *Request) limits(most int64, names []string) (edits []jsonscan.Edit) {
	if len(r.Fields) == 0 {
		return nil
	}
	said, instead := false, r.Fields.Prepend(names[0], decimal(most))
	for _, name := range names {
		m, ok := r.Fields.Get(name)
		if !ok {
			continue
		}
		raw := r.Body[m.ValueStart:m.ValueEnd]
		if jsonscan.IsNull(raw) {
			instead = m.Replace(decimal(most))
			continue
		}
		said = true
		if n, ok := jsonscan.Int(raw); !ok || n > most {
			edits = append(edits, m.Replace(decimal(most)))
		}
	}
	if !said {
		edits = append(edits, instead)
	}
	return edits
}

// clamp is the prompt with at most so many output tokens. A budget of reasoning that leaves no room for an answer is halved.
func (p *Prompt) clamp(most int64) *Prompt {
	out := *p
	out.MaxOutputTokens = less(p.MaxOutputTokens, most)
	if p.Reasoning != nil && p.Reasoning.Budget >= out.MaxOutputTokens {
		reasoning := *p.Reasoning
		reasoning.Budget = max(1, out.MaxOutputTokens/2)
		out.Reasoning = &reasoning
	}
	return &out
}

// less is a limit, where 0 is none, that is no more than most.
func less(limit, most int64) int64 {
	if limit == 0 {
		return most
	}
	return min(limit, most)
}

func decimal(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
