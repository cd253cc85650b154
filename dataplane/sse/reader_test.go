package sse

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

type event struct{ Raw, Name, Data string }

func readAll(r io.Reader, limit int) ([]event, error) {
	reader := NewReader(r, limit)
	var out []event
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, event{string(e.Raw), e.Name, string(e.Data)})
	}
}

// pieces gives out one piece a read.
type pieces struct{ rest []string }

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) > 0 && p.rest[0] == "" {
		p.rest = p.rest[1:]
	}
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[0])
	p.rest[0] = p.rest[0][n:]
	return n, nil
}

var fixtures = map[string]struct {
	in   string
	want []event
}{
	"empty":  {"", nil},
	"LF":     {"data: a\n\ndata: b\n\n", []event{{"data: a\n\n", "", "a"}, {"data: b\n\n", "", "b"}}},
	"CRLF":   {"data: a\r\n\r\ndata: é\r\n\r\n", []event{{"data: a\r\n\r\n", "", "a"}, {"data: é\r\n\r\n", "", "é"}}},
	"CR":     {"data: a\r\rdata: b\r\r", []event{{"data: a\r\r", "", "a"}, {"data: b\r\r", "", "b"}}},
	"fields": {"event: x\nid: 1\nretry: 5\ndata:a\n\n", []event{{"event: x\nid: 1\nretry: 5\ndata:a\n\n", "x", "a"}}},
	"spaces": {"data:  a \ndata\ndata:\n\n", []event{{"data:  a \ndata\ndata:\n\n", "", " a \n\n"}}},
	"comments": {": PROCESSING\n\n:\n\ndata: a\n: in between\ndata: b\n\n", []event{
		{": PROCESSING\n\n", "", ""}, {":\n\n", "", ""}, {"data: a\n: in between\ndata: b\n\n", "", "a\nb"},
	}},
	"byte order mark":        {"\xef\xbb\xbfdata: a\n\n", []event{{"data: a\n\n", "", "a"}}},
	"only half a mark":       {"\xef\xbb", []event{{"\xef\xbb\n\n", "", ""}}},
	"more blank lines":       {"\n\ndata: a\n\n\n", []event{{"\n", "", ""}, {"\n", "", ""}, {"data: a\n\n", "", "a"}, {"\n", "", ""}}},
	"no blank line at end":   {"data: a\n\ndata: b\n", []event{{"data: a\n\n", "", "a"}, {"data: b\n\n", "", "b"}}},
	"no line end at end":     {"data: a\r\n\r\ndata: b", []event{{"data: a\r\n\r\n", "", "a"}, {"data: b\r\n\r\n", "", "b"}}},
	"half a CRLF at end":     {"data: a\r\n\r", []event{{"data: a\r\n\r", "", "a"}}},
	"mixed":                  {"data: a\r\ndata: b\n\r\ndata: c\r\r", []event{{"data: a\r\ndata: b\n\r\n", "", "a\nb"}, {"data: c\r\r", "", "c"}}},
	"CR, then CRLF":          {"data: a\r\r\ndata: b\n\n", []event{{"data: a\r\r", "", "a"}, {"data: b\n\n", "", "b"}}},
	"colon in data":          {"data: a: b\ndatax: c\n data: d\n\n", []event{{"data: a: b\ndatax: c\n data: d\n\n", "", "a: b"}}},
	"leading CRLF":           {"\r\ndata: a\r\n\r\n", []event{{"\r\n", "", ""}, {"data: a\r\n\r\n", "", "a"}}},
	"longer than the buffer": {"data: " + strings.Repeat("x", 9000) + "\n\ndata: b\n\n", []event{{"data: " + strings.Repeat("x", 9000) + "\n\n", "", strings.Repeat("x", 9000)}, {"data: b\n\n", "", "b"}}},
}

func TestReader(t *testing.T) {
	for name, f := range fixtures {
		t.Run(name, func(t *testing.T) {
			check := func(how string, r io.Reader) {
				t.Helper()
				got, err := readAll(r, 1<<20)
				if err != nil {
					t.Fatal(how, err)
				}
				if d := cmp.Diff(f.want, got); d != "" {
					t.Fatal(how, d)
				}
			}
			check("whole", strings.NewReader(f.in))
			check("a byte at a time", iotest.OneByteReader(strings.NewReader(f.in)))
			check("end with the data", iotest.DataErrReader(strings.NewReader(f.in)))
			for i := range len(f.in) {
				check("in two", &pieces{[]string{f.in[:i], f.in[i:]}})
			}
		})
	}
}

// An event of lone CRs is given out without waiting for what follows.
func TestReaderHoldsNothingBack(t *testing.T) {
	for _, in := range []string{"data: a\n\n", "data: a\r\n\r\n", "data: a\r\r"} {
		pr, pw := io.Pipe()
		got := make(chan Event, 1)
		go func() {
			e, _ := NewReader(pr, 100).Next()
			got <- e
		}()
		if _, err := pw.Write([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if e := <-got; string(e.Data) != "a" {
			t.Errorf("%q: got %q", in, e.Data)
		}
		_ = pw.Close()
	}
}

func TestReaderLimit(t *testing.T) {
	line := "data: " + strings.Repeat("x", 5<<20) + "\n\n"
	if got, err := readAll(strings.NewReader(line), 6<<20); err != nil || len(got) != 1 || len(got[0].Data) != 5<<20 {
		t.Errorf("five megabytes: %d events, %v", len(got), err)
	}
	if _, err := readAll(strings.NewReader(line), 4<<20); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	got, err := readAll(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)), 100)
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("got %d events and %v, want 1 and the source's error", len(got), err)
	}
	if _, err := readAll(reader(func([]byte) (int, error) { return 0, nil }), 100); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want io.ErrNoProgress", err)
	}
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

// reference is the specification's algorithm over the whole text.
func reference(in string) (data []string) {
	in = strings.TrimPrefix(in, "\xef\xbb\xbf")
	in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	var lines []string
	flush := func() {
		if lines != nil {
			data = append(data, strings.Join(lines, "\n"))
		}
		lines = nil
	}
	for _, line := range strings.Split(in, "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "":
			flush()
		case name == "data":
			lines = append(lines, strings.TrimPrefix(value, " "))
		}
	}
	flush()
	return data
}

func FuzzReader(f *testing.F) {
	for _, x := range fixtures {
		f.Add([]byte(x.in), uint(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, split uint) {
		whole, err := readAll(bytes.NewReader(in), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		at := int(split % uint(len(in)+1))
		cut, err := readAll(&pieces{[]string{string(in[:at]), string(in[at:])}}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(whole, cut); d != "" {
			t.Fatalf("split at %d: %s", at, d)
		}
		var got, want []string
		for _, e := range whole {
			if e.Data != "" {
				got = append(got, e.Data)
			}
		}
		for _, d := range reference(string(in)) {
			if d != "" {
				want = append(want, d)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestAppend(t *testing.T) {
	b := Append(nil, "", []byte(`{"a":1}`))
	b = Append(b, "error", []byte("x\ny"))
	b = AppendComment(b, "ping")
	if want := "data: {\"a\":1}\n\nevent: error\ndata: x\ndata: y\n\n: ping\n\n"; string(b) != want {
		t.Errorf("got %q", b)
	}
	got, err := readAll(bytes.NewReader(b), 100)
	if err != nil || len(got) != 3 || got[1].Data != "x\ny" || got[1].Name != "error" {
		t.Errorf("read back: %v, %v", got, err)
	}
}
