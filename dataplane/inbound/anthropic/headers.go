package anthropic

import (
	"net/http"
	"slices"
	"strings"
)

// Headers of the protocol that an upstream of the same protocol shall have.
const (
	headerVersion = "Anthropic-Version"
	headerBeta    = "Anthropic-Beta"
)

// droppedBetas are the betas, without their dates, that are not passed on, because they change what a request costs, where
// it runs or whose state it uses. Dropping one is safe: the fields that use it are refused by name, or are not needed. A
// long context is the model's own or none: where a model has it at the standard price it needs no beta.
var droppedBetas = []string{"context-1m", "fast-mode", "message-threads", "server-side-fallback", "fallback-credit", "user-profiles"}

// forwarded keeps the headers that an upstream of the protocol shall have, nil where none of them was sent, and names what
// it has left out of them.
func forwarded(h http.Header) (out http.Header, dropped []string) {
	out = http.Header{}
	if v := h.Get(headerVersion); v != "" {
		out.Set(headerVersion, v)
	}
	var kept []string
	for _, line := range h.Values(headerBeta) {
		for beta := range strings.SplitSeq(line, ",") {
			switch beta = strings.TrimSpace(beta); {
			case beta == "" || slices.Contains(kept, beta):
			case isDropped(beta):
				dropped = append(dropped, "anthropic-beta."+clip(beta))
			default:
				kept = append(kept, beta)
			}
		}
	}
	if len(kept) > 0 {
		out.Set(headerBeta, strings.Join(kept, ","))
	}
	if len(out) == 0 {
		return nil, dropped
	}
	return out, dropped
}

func isDropped(beta string) bool {
	return slices.ContainsFunc(droppedBetas, func(d string) bool {
		rest, ok := strings.CutPrefix(strings.ToLower(beta), d)
		return ok && (rest == "" || rest[0] == '-')
	})
}
