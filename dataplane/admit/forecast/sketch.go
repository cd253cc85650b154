package forecast

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

const (
	// exact values have a bucket each; above, each power of two has perOctave of them, so that a bucket's upper end is at
	// most an eighth above what fell into it.
	exact     = 16
	perOctave = 8
	// octaves are those of exact to maxValue.
	octaves = 23
	buckets = exact + octaves*perOctave
	// maxValue is the largest value that is told apart from larger ones: 2^27-1, above any count of tokens that the API
	// admits.
	maxValue = 1<<27 - 1
	// window is how many values a sketch remembers at most: when it is full, all counts are halved, so that what is newer
	// weighs more.
	window = 512
)

// Sketch counts values from 0 to maxValue in 200 logarithmic buckets: 402 bytes, whatever it has seen. The zero Sketch is
// empty. It is a value: assigning copies it.
type Sketch struct {
	counts [buckets]uint16
	total  uint16
}

// Total is how many values the sketch still remembers.
func (s *Sketch) Total() int64 { return int64(s.total) }

// Add counts one value; a negative one counts as 0, one above 2^27-1 as that.
func (s *Sketch) Add(v int64) {
	if s.total >= window {
		s.halve(1)
	}
	s.counts[bucketOf(v)]++
	s.total++
}

// Merge adds what another sketch has counted, as if both had seen all of it.
func (s *Sketch) Merge(o *Sketch) {
	var sum [buckets]int64
	total := int64(0)
	for i := range sum {
		sum[i] = int64(s.counts[i]) + int64(o.counts[i])
		total += sum[i]
	}
	shift := 0
	for total>>shift > window {
		shift++
	}
	s.set(&sum, shift)
}

// Quantile is a value that at least per hundred of a hundred values do not exceed, and is at most an eighth above the
// smallest such: the upper end of its bucket. 0 for an empty sketch.
func (s *Sketch) Quantile(perHundred int64) int64 {
	rank := (int64(s.total)*perHundred + 99) / 100
	seen := int64(0)
	for i, n := range s.counts {
		seen += int64(n)
		if n > 0 && seen >= rank {
			return upperEnd(i)
		}
	}
	return 0
}

// halve ages the sketch: all counts are halved so many times.
func (s *Sketch) halve(times int) {
	if times <= 0 || s.total == 0 {
		return
	}
	var sum [buckets]int64
	for i, n := range s.counts {
		sum[i] = int64(n)
	}
	s.set(&sum, min(times, 62))
}

// set takes counts divided by 2^shift. What is rounded are the sums from below, not the counts: else many values that
// came once each, which are a tail, would all be gone at once.
func (s *Sketch) set(counts *[buckets]int64, shift int) {
	below, kept := int64(0), int64(0)
	for i, n := range counts {
		below += n
		s.counts[i] = uint16(below>>shift - kept) //nolint:gosec // at most window
		kept = below >> shift
	}
	s.total = uint16(kept) //nolint:gosec // at most window
}

// bucketOf is the bucket of a value.
func bucketOf(v int64) int {
	v = max(0, min(v, maxValue))
	if v < exact {
		return int(v)
	}
	octave := bits.Len64(uint64(v)) - bits.Len64(exact)
	step := v >> (octave + 1) & (perOctave - 1) // the three bits after the leading one
	return exact + octave*perOctave + int(step)
}

// upperEnd is the largest value of a bucket.
func upperEnd(bucket int) int64 {
	if bucket < exact {
		return int64(bucket)
	}
	octave, step := (bucket-exact)/perOctave, int64((bucket-exact)%perOctave)
	return (perOctave+step+1)<<(octave+1) - 1
}

// text writes a sketch as "bucket:count" words, which decode reads.
func (s *Sketch) text() string {
	var b strings.Builder
	for i, n := range s.counts {
		if n > 0 {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			_, _ = fmt.Fprintf(&b, "%d:%d", i, n) // a Builder never fails
		}
	}
	return b.String()
}

// decode reads what text wrote. Anything else is an error: the store is not ours alone.
func decode(text string) (Sketch, error) {
	var counts [buckets]int64
	total := int64(0)
	for word := range strings.FieldsSeq(text) {
		bucket, count, _ := strings.Cut(word, ":")
		i, err := strconv.ParseUint(bucket, 10, 16)
		if err != nil || i >= buckets || counts[i] != 0 {
			return Sketch{}, fmt.Errorf("reading a sketch: bucket %.20q", bucket)
		}
		n, err := strconv.ParseUint(count, 10, 16)
		if err != nil || n == 0 || n > window {
			return Sketch{}, fmt.Errorf("reading a sketch: count %.20q", count)
		}
		counts[i] = int64(n)
		total += int64(n)
	}
	if total > window {
		return Sketch{}, fmt.Errorf("reading a sketch: %d values", total)
	}
	var s Sketch
	s.set(&counts, 0)
	return s, nil
}
