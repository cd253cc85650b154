package body

import "sync"

// Pieces of a body double in size up to the last of these.
const (
	firstChunk = 4 << 10
	chunkSizes = 7 // up to 256 KiB
	lastClass  = chunkSizes - 1
	// maxFree bounds the pieces that wait to be used again: they are in nobody's budget.
	maxFree = 8 << 20
)

// chunks are pieces that are used again, so that bodies which are refused leave nothing to be collected.
type chunks struct {
	mu   sync.Mutex
	free [chunkSizes][][]byte
	size int
}

func sizeOf(class int) int { return firstChunk << class }

func (c *chunks) get(class int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	free := c.free[class]
	if len(free) == 0 {
		return make([]byte, sizeOf(class))
	}
	last := len(free) - 1
	b := free[last]
	free[last], c.free[class] = nil, free[:last]
	c.size -= len(b)
	return b
}

func (c *chunks) put(class int, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+len(b) > maxFree {
		return
	}
	c.free[class] = append(c.free[class], b)
	c.size += len(b)
}
