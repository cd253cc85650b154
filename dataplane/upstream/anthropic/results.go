package anthropic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// callIDs gives the tool calls of a conversation ids that the API takes: of ^[a-zA-Z0-9_-]+$, and each once. Other
// providers' ids have dots and colons, and some begin to count again with every answer.
type callIDs struct {
	used map[string]bool
}

// name maps the ids of one assistant's calls.
func (c *callIDs) name(parts []chat.Part) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range parts {
		if p.Kind != chat.PartCall {
			continue
		}
		if _, twice := out[p.Call.ID]; twice {
			return nil, invalid("messages", fmt.Sprintf("Two tool calls of one message have the id '%s'.", clip(p.Call.ID)))
		}
		id := clean(p.Call.ID)
		for n := 2; c.used[id]; n++ {
			id = clean(p.Call.ID) + "_" + strconv.Itoa(n)
		}
		c.used[id] = true
		out[p.Call.ID] = id
	}
	return out, nil
}

func clean(id string) string {
	out := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, id)
	if out == "" {
		return "call"
	}
	return out
}

// results writes the results of an assistant's calls, in the order of the calls: all of them, and none of other calls.
func (b *builder) results(s segment, names map[string]string) ([]block, error) {
	found := map[string]block{}
	for _, m := range s.others {
		for i := range m.Parts {
			p := &m.Parts[i]
			if p.Kind != chat.PartResult {
				continue
			}
			id, known := names[p.Result.ID]
			if _, twice := found[id]; !known || twice {
				return nil, invalid("messages", fmt.Sprintf("The result of tool call '%s' does not answer a call of the message before it.", clip(p.Result.ID)))
			}
			content, err := b.blocks(p.Result.Parts)
			if err != nil {
				return nil, err
			}
			found[id] = block{Type: "tool_result", ToolUseID: id, Content: content, IsError: p.Result.Failed, Cache: cacheOf(p.Cache)}
		}
	}
	var out []block
	for _, p := range s.assistant {
		if p.Kind != chat.PartCall {
			continue
		}
		one, ok := found[names[p.Call.ID]]
		if !ok {
			return nil, invalid("messages", fmt.Sprintf("The tool call '%s' has no result: each must be answered before the conversation goes on.", clip(p.Call.ID)))
		}
		out = append(out, one)
	}
	return out, nil
}
