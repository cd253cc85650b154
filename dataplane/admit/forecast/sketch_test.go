package forecast

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSketchIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Sketch{}); size != 402 {
		t.Errorf("a sketch has %d bytes; its documentation says 402", size)
	}
}

func TestBucketsCoverEverything(t *testing.T) {
	if last := bucketOf(maxValue); last != buckets-1 || upperEnd(last) != maxValue {
		t.Fatalf("the largest value is in bucket %d of %d, which ends at %d", last, buckets, upperEnd(last))
	}
	for i := range buckets {
		if end := upperEnd(i); bucketOf(end) != i || (i+1 < buckets && bucketOf(end+1) != i+1) {
			t.Fatalf("bucket %d ends at %d, which is in %d, the next in %d", i, end, bucketOf(end), bucketOf(end+1))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(0, maxValue).Draw(t, "value")
		if end := upperEnd(bucketOf(v)); end < v || end > v+v/8 {
			t.Fatalf("%d is told as %d", v, end)
		}
	})
	if bucketOf(-5) != 0 || bucketOf(1<<60) != buckets-1 {
		t.Error("values beyond the ends are not at the ends")
	}
}

func TestQuantile(t *testing.T) {
	for name, c := range map[string]struct {
		values []int64
		per    int64
		want   int64
	}{
		"empty":              {nil, 95, 0},
		"one":                {[]int64{7}, 95, 7},
		"the tail":           {append(slices.Repeat([]int64{3}, 94), 9, 9, 9, 9, 9, 9), 95, 9},
		"not the tail":       {append(slices.Repeat([]int64{3}, 95), 9, 9, 9, 9, 9), 95, 3},
		"median":             {[]int64{1, 2, 3, 4, 5}, 50, 3},
		"above what is told": {[]int64{1 << 40}, 95, maxValue},
	} {
		t.Run(name, func(t *testing.T) {
			var s Sketch
			for _, v := range c.values {
				s.Add(v)
			}
			if got := s.Quantile(c.per); got != c.want {
				t.Errorf("Quantile(%d) = %d, want %d", c.per, got, c.want)
			}
		})
	}
}

func TestQuantileBoundsItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<20), 1, window).Draw(t, "values")
		per := rapid.Int64Range(1, 100).Draw(t, "per")
		var s Sketch
		for _, v := range values {
			s.Add(v)
		}
		slices.Sort(values)
		truth := values[(int64(len(values))*per+99)/100-1]
		if got := s.Quantile(per); got < truth || got > truth+truth/8 {
			t.Fatalf("p%d = %d, exactly %d", per, got, truth)
		}
	})
}

func TestNewValuesWin(t *testing.T) {
	var s Sketch
	for range 10_000 {
		s.Add(10)
	}
	for range 3 * window {
		s.Add(1000)
	}
	if got := s.Quantile(25); got < 1000 || s.Total() > window {
		t.Errorf("after three windows of 1000, p25 of %d values is %d", s.Total(), got)
	}
}

// A hundred values that came once each are not all forgotten at the first halving.
func TestHalvingKeepsTheTail(t *testing.T) {
	var s Sketch
	for range 100 {
		s.Add(1)
	}
	for v := int64(0); v < 100; v++ {
		s.Add(1000 + v*977)
	}
	s.halve(1)
	if got := s.Quantile(95); s.Total() != 100 || got < 50_000 {
		t.Errorf("%d values left, p95 %d", s.Total(), got)
	}
	s.halve(62)
	if s.Total() != 0 || s.Quantile(95) != 0 {
		t.Errorf("%d values outlived 62 halvings", s.Total())
	}
}

func TestMergeIsAsIfSeenTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		half := rapid.SliceOfN(rapid.Int64Range(0, 1<<20), 0, window/2)
		left, right := half.Draw(t, "left"), half.Draw(t, "right")
		var a, b, both Sketch
		for _, v := range left {
			a.Add(v)
			both.Add(v)
		}
		for _, v := range right {
			b.Add(v)
			both.Add(v)
		}
		a.Merge(&b)
		if a != both {
			t.Fatalf("merged %s, together %s", a.text(), both.text())
		}
	})
	var full, other Sketch
	for range window {
		full.Add(1)
		other.Add(100)
	}
	full.Merge(&other)
	if full.Total() != window || full.Quantile(95) < 100 || full.Quantile(50) != 1 {
		t.Errorf("two full sketches merged: %s", full.text())
	}
}

func TestTextIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sketch
		for _, v := range rapid.SliceOfN(rapid.Int64Range(0, maxValue), 0, 2*window).Draw(t, "values") {
			s.Add(v)
		}
		back, err := decode(s.text())
		if err != nil || back != s {
			t.Fatalf("%q is read as %q, %v", s.text(), back.text(), err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	for _, text := range []string{"x", "1", "1:", "1:0", "1:-1", "200:1", "-1:1", "1:513", "1:1 1:1", "1:400 2:400", "1:65537"} {
		if s, err := decode(text); err == nil {
			t.Errorf("%q is read as %q", text, s.text())
		}
	}
	if s, err := decode(""); err != nil || !cmp.Equal(s.Total(), int64(0)) {
		t.Errorf("nothing: %d values, %v", s.Total(), err)
	}
}
