package body

// incoming is a body in pieces.
type incoming struct {
	reader *Reader
	pieces []piece
	size   int64 // bytes that came
	taken  int64 // bytes of the budget
}

type piece struct {
	buffer []byte
	used   int
	class  int
}

// room is where the next bytes go; it is never empty.
func (in *incoming) room() ([]byte, error) {
	if n := len(in.pieces); n > 0 {
		if last := in.pieces[n-1]; last.used < len(last.buffer) {
			return last.buffer[last.used:], nil
		}
	}
	return in.add(min(len(in.pieces), lastClass))
}

// add takes one more piece.
func (in *incoming) add(class int) ([]byte, error) {
	size := int64(sizeOf(class))
	if !in.reader.budget.TryAcquire(size) {
		return nil, ErrBudget
	}
	in.taken += size
	buffer := in.reader.chunks.get(class)
	in.pieces = append(in.pieces, piece{buffer: buffer, class: class})
	return buffer, nil
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
		body = append(body, p.buffer[:p.used]...)
	}
	return body, func() { in.reader.budget.Release(size) }, nil
}

// drop gives the pieces back.
func (in *incoming) drop() {
	for _, p := range in.pieces {
		in.reader.chunks.put(p.class, p.buffer)
	}
	in.reader.budget.Release(in.taken)
	in.pieces, in.taken = nil, 0
}
