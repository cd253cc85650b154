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

// forwarded keeps the headers that an upstream of the protocol shall have; nil: none of them was sent.
func forwarded(h http.Header) http.Header {
	out := http.Header{}
	if v := h.Get(headerVersion); v != "" {
		out.Set(headerVersion, v)
	}
	var kept []string
	for _, line := range h.Values(headerBeta) {
		for beta := range strings.SplitSeq(line, ",") {
			if beta = strings.TrimSpace(beta); beta != "" && !dropped(beta) && !slices.Contains(kept, beta) {
				kept = append(kept, beta)
			}
		}
	}
	if len(kept) > 0 {
		out.Set(headerBeta, strings.Join(kept, ","))
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func dropped(beta string) bool {
	return slices.ContainsFunc(droppedBetas, func(d string) bool {
		rest, ok := strings.CutPrefix(strings.ToLower(beta), d)
		return ok && (rest == "" || rest[0] == '-')
	})
}
