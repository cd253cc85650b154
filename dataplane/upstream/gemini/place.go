package gemini

import "slices"

// place gives signatures that came without a text to the parts that they belong to. Clients that keep reasoning apart send
// them before the parts; a stream has them behind, on an empty text, where they stay. One that its part has already is told
// once.
func place(parts []part) []part {
	gone := make([]bool, len(parts))
	for i, p := range parts {
		if !p.alone() {
			continue
		}
		if slices.ContainsFunc(parts, func(q part) bool { return !q.alone() && q.ThoughtSignature == p.ThoughtSignature }) {
			gone[i] = true
		} else if owner := ownerOf(parts, i); owner >= 0 {
			parts[owner].ThoughtSignature = p.ThoughtSignature
			gone[i] = true
		}
	}
	out := make([]part, 0, len(parts))
	for i, p := range parts {
		if !gone[i] {
			out = append(out, p)
		}
	}
	return out
}

// alone says that a part is a signature and nothing else.
func (p part) alone() bool {
	return p.Text != nil && *p.Text == "" && !p.Thought && p.ThoughtSignature != ""
}

// ownerOf finds the part that signature i belongs to: the call with its id, else the first call, else the next text; -1: it
// stands for itself.
func ownerOf(parts []part, i int) int {
	first := -1
	for j, p := range parts {
		if p.FunctionCall == nil || p.ThoughtSignature != "" {
			continue
		}
		if parts[i].callID != "" && p.callID == parts[i].callID {
			return j
		}
		if first < 0 && !slices.ContainsFunc(parts[:j], func(q part) bool { return q.FunctionCall != nil }) {
			first = j
		}
	}
	if first >= 0 {
		return first
	}
	for j := i + 1; j < len(parts); j++ {
		if p := parts[j]; p.Text != nil && *p.Text != "" && !p.Thought && p.ThoughtSignature == "" {
			return j
		}
	}
	return -1
}

// sign sees to it that the first call of each model content has a signature: the later models refuse a conversation without.
func sign(contents []content) {
	for _, c := range contents {
		if c.Role != roleModel {
			continue
		}
		if i := slices.IndexFunc(c.Parts, func(p part) bool { return p.FunctionCall != nil }); i >= 0 && c.Parts[i].ThoughtSignature == "" {
			c.Parts[i].ThoughtSignature = skipSignature
		}
	}
}

// order sorts results as their calls stand: models without ids tell them apart by nothing else.
func order(contents []content) {
	for i := 1; i < len(contents); i++ {
		if !hasResults(contents[i]) || contents[i-1].Role != roleModel {
			continue
		}
		position := map[string]int{}
		for j, p := range contents[i-1].Parts {
			if p.FunctionCall != nil {
				position[p.callID] = j + 1
			}
		}
		slices.SortStableFunc(contents[i].Parts, func(x, y part) int {
			a, b := position[x.callID], position[y.callID]
			if a == 0 || b == 0 {
				return 0
			}
			return a - b
		})
	}
}
