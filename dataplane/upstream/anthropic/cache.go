package anthropic

// maxBreakpoints is how many breakpoints of the cache a request may have.
const maxBreakpoints = 4

// cacheOf is the breakpoint that a part or a tool asks for; "5m" is the default and needs no word.
func cacheOf(ttl string) *cacheControl {
	switch ttl {
	case "":
		return nil
	case "1h":
		return &cacheControl{Type: "ephemeral", TTL: "1h"}
	}
	return &cacheControl{Type: "ephemeral"}
}

// slot is a place where a breakpoint may stand.
type slot struct {
	at *(*cacheControl)
	// ours says that the gateway put it there.
	ours bool
}

// cache puts breakpoints where the shorthand wants them, behind the tools, the system and the last message, and keeps the
// rules: four at most, of which the later ones reach further; and none of an hour behind one of five minutes.
func (b *builder) cache() error {
	var set []slot
	for _, s := range b.slots() {
		if *s.at == nil && s.ours && b.prompt.Cache != "" {
			*s.at = cacheOf(b.prompt.Cache)
			set = append(set, s)
		} else if *s.at != nil {
			set = append(set, slot{at: s.at})
		}
	}
	for len(set) > maxBreakpoints {
		first := 0
		for i, s := range set {
			if s.ours {
				first = i
				break
			}
		}
		*set[first].at = nil
		set = append(set[:first], set[first+1:]...)
	}
	hour := false
	for i := len(set) - 1; i >= 0; i-- {
		switch {
		case (*set[i].at).TTL == "1h":
			hour = true
		case hour && set[i].ours:
			*set[i].at = cacheOf("1h")
		}
	}
	return nil
}

// slots are all places, in the order of the prompt; ours are those of the shorthand.
func (b *builder) slots() []slot {
	var out []slot
	for i := range b.out.Tools {
		out = append(out, slot{&b.out.Tools[i].Cache, i == len(b.out.Tools)-1})
	}
	for i := range b.out.System {
		out = append(out, slot{&b.out.System[i].Cache, i == len(b.out.System)-1})
	}
	for i := range b.out.Messages {
		content := b.out.Messages[i].Content
		for j := range content {
			for k := range content[j].Content {
				out = append(out, slot{&content[j].Content[k].Cache, false})
			}
			last := i == len(b.out.Messages)-1 && j == len(content)-1
			out = append(out, slot{&content[j].Cache, last && !content[j].thought()})
		}
	}
	return out
}
