package gemini

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
)

// idPrefix marks ids of tool calls that this package made up: they mean nothing to a model and are not sent back to it.
const idPrefix = "call_lyrg"

// idSource makes ids for calls that came without one.
type idSource struct {
	mu     sync.Mutex
	random io.Reader
}

func (s *idSource) next() (string, error) {
	var b [12]byte
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("making an id for a tool call: %w", err)
	}
	return idPrefix + hex.EncodeToString(b[:]), nil
}

// madeUp says that an id came from an idSource.
func madeUp(id string) bool { return strings.HasPrefix(id, idPrefix) }
