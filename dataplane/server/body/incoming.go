package body

// Pieces of a body double in size up to the last of these.
const (
	firstChunk = 4 << 10
	chunkSizes = 7 // up to 256 KiB
)

// incoming is a body in pieces.
type incoming struct {
	reader *Reader
	pieces []piece
	size   int64 // bytes that came
	taken  int64 // bytes of the budget
}

type piece struct {
	buffer *[]byte
	used   int
	class  int
}

// room is where the next bytes go; it is never empty.
func (in *incoming) room() ([]byte, error) {
	if n := len(in.pieces); n > 0 {
		if last := in.pieces[n-1]; last.used < len(*last.buffer) {
			return (*last.buffer)[last.used:], nil
		}
	}
	class := min(len(in.pieces), chunkSizes-1)
	size := firstChunk << class
	if !in.reader.budget.TryAcquire(int64(size)) {
		return nil, ErrBudget
	}
	in.taken += int64(size)
	buffer, ok := in.reader.chunks[class].Get().(*[]byte)
	if !ok {
		made := make([]byte, size)
		buffer = &made
	}
	in.pieces = append(in.pieces, piece{buffer: buffer, class: class})
	return *buffer, nil
}

func (in *incoming) took(n int) {
	in.pieces[len(in.pieces)-1].used += n
	in.size += int64(n)
}

// whole is the body in one piece, which is its own part of the budget until it is released. It is not used again: who
// sends it on may read it after the request has ended.
func (in *incoming) whole() ([]byte, func(), error) {
	size := in.size
	if !in.reader.budget.TryAcquire(size) {
		return nil, func() {}, ErrBudget
	}
	body := make([]byte, 0, size)
	for _, p := range in.pieces {
		body = append(body, (*p.buffer)[:p.used]...)
	}
	return body, func() { in.reader.budget.Release(size) }, nil
}

// drop gives the pieces back.
func (in *incoming) drop() {
	for _, p := range in.pieces {
		in.reader.chunks[p.class].Put(p.buffer)
	}
	in.reader.budget.Release(in.taken)
	in.pieces, in.taken = nil, 0
}
