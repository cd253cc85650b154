package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestScan(t *testing.T) {
	type pair struct{ Name, Value string }
	for name, c := range map[string]struct {
		in   string
		want []pair
	}{
		"empty":            {`{}`, nil},
		"space everywhere": {" {\t\"a\" :\r\n1 , \"b\": [ 1 , { } ] } \n", []pair{{"a", "1"}, {"b", "[ 1 , { } ]"}}},
		"escaped key":      {`{"mod\u0065l":"dear"}`, []pair{{"model", `"dear"`}}},
		"duplicates stay":  {`{"a":1,"a":2}`, []pair{{"a", "1"}, {"a", "2"}}},
		"big numbers":      {`{"n":123456789012345678901234567890.5e+10}`, []pair{{"n", "123456789012345678901234567890.5e+10"}}},
		"nested":           {`{"a":{"b":[{"c":"}]"}]},"d":null}`, []pair{{"a", `{"b":[{"c":"}]"}]}`}, {"d", "null"}}},
		"key with a quote": {`{"a\"b":true}`, []pair{{`a"b`, "true"}}},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Scan([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			var got []pair
			for _, m := range o {
				if c.in[m.KeyStart] != '"' {
					t.Errorf("KeyStart of %q is not at its quote", m.Name)
				}
				got = append(got, pair{m.Name, c.in[m.ValueStart:m.ValueEnd]})
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestScanRefuses(t *testing.T) {
	for in, offset := range map[string]int{
		``:                              0,
		`[1]`:                           0,
		`{"a":1`:                        6,
		`{"a":1}}`:                      7,
		`{"a":1,}`:                      7,
		`{"a" 1}`:                       5,
		`{'a':1}`:                       1,
		`{"a":01}`:                      6,
		`{"a":+1}`:                      5,
		`{"a":1.}`:                      7,
		`{"a":1e}`:                      7,
		`{"a":-}`:                       6,
		`{"a":nul}`:                     8,
		`{"a":"` + "\n" + `"}`:          6,
		`{"a":"\x"}`:                    7,
		`{"a":"\u12g4"}`:                10,
		"{\"a\":\"\xff\"}":              6,
		"{\"\xc3\":1}":                  2,
		`{"a":[1 2]}`:                   8,
		`{"a":[1}`:                      7,
		`{"a":{"b":1]}`:                 11,
		"\xef\xbb\xbf{}":                0,
		`{"a":NaN}`:                     5,
		`{"a":"b\`:                      8,
		`{"a":"b\u12`:                   11,
		`{"a":1} x`:                     8,
		strings.Repeat(`{"a":`, 100000): MaxDepth * 5,
	} {
		_, err := Scan([]byte(in))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.40q: got %v, want a *SyntaxError", in, err)
			continue
		}
		if syntax.Offset != offset {
			t.Errorf("%.40q: %v, want offset %d", in, err, offset)
		}
	}
}

func TestScanDepth(t *testing.T) {
	nested := func(depth int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`)
	}
	if _, err := Scan(nested(MaxDepth)); err != nil {
		t.Error(err)
	}
	if _, err := Scan(nested(MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "nesting") {
		t.Errorf("got %v, want a complaint about nesting", err)
	}
	if _, err := Scan(nested(100_000)); err == nil || !strings.Contains(err.Error(), "nesting") {
		t.Errorf("got %v, want a complaint about nesting", err)
	}
}

func depthOf(b []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			depth++
			deepest = max(deepest, depth)
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return deepest
}

// FuzzScan holds Scan against encoding/json: the same texts are accepted but for the root's kind, UTF-8 and depth, and the
// members have the same names and values.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"a":[1,2,{"b":null}],"c":"\u00e9\ud83d\ude00\ud800"}`, ` { "a" : -0.5e-3 , "b" : true } `,
		`{"a":}`, `{"a":"\"}`, `[{}]`, "{\"\xff\":1}", `{"a":1,"a":{"x":[]}}`,
	} {
		f.Add([]byte(s), []byte(nil))
	}
	f.Add([]byte(nil), []byte{0, 1, 4, 0, 5, 2, 1, 6, 7, 2, 2, 4})
	f.Fuzz(func(t *testing.T, b, script []byte) {
		if len(b) == 0 {
			b = nested(script[:min(len(script), 1000)])
		}
		o, err := Scan(b)
		var object map[string]json.RawMessage
		isObject := json.Unmarshal(b, &object) == nil && object != nil
		if valid := isObject && utf8.Valid(b) && depthOf(b) <= MaxDepth; valid != (err == nil) {
			t.Fatalf("Scan says %v, encoding/json %v", err, isObject)
		}
		if err != nil {
			return
		}
		for name, want := range object {
			if got := o.Value(b, name); string(got) != string(want) {
				t.Errorf("%q: got %q, want %q", name, got, want)
			}
		}
		var walked Object
		trimmed := b[skipSpace(b, 0):]
		for name, value := range Members(trimmed) {
			walked = append(walked, Member{Name: name})
			compareValue(t, value)
		}
		if len(walked) != len(o) {
			t.Fatalf("Members yields %d members, Scan %d", len(walked), len(o))
		}
		for i := range o {
			if walked[i].Name != o[i].Name {
				t.Errorf("member %d: Members says %q, Scan %q", i, walked[i].Name, o[i].Name)
			}
		}
	})
}

// nested is the object that a script makes: a byte opens a container, closes one or is a scalar.
func nested(script []byte) []byte {
	out, open := []byte("{"), []byte("}")
	for _, b := range script {
		if kind := b % 8; kind == 2 || kind == 3 {
			if n := len(open) - 1; n > 0 {
				out, open = append(out, open[n]), open[:n]
			}
			continue
		}
		if last := out[len(out)-1]; last != '{' && last != '[' {
			out = append(out, ',')
		}
		if open[len(open)-1] == '}' {
			out = append(out, `"k`+string('a'+rune(b>>3))+`": `...)
		}
		switch b % 8 {
		case 0:
			out, open = append(out, '{'), append(open, '}')
		case 1:
			out, open = append(out, '['), append(open, ']')
		default:
			out = append(out, [...]string{`1`, `"\u00e9\ud83d\ude00\ud800"`, `null`, `-0.5e-3`}[b%8-4]...)
		}
	}
	for i := len(open) - 1; i >= 0; i-- {
		out = append(out, open[i])
	}
	return out
}

// compareValue holds the readers of values against encoding/json.
func compareValue(t *testing.T, raw []byte) {
	t.Helper()
	switch raw[0] {
	case '"':
		var want string
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := String(raw); !ok || got != want {
			t.Errorf("String(%s) = %q, want %q", raw, got, want)
		}
		if got := StringLen(raw); got != len(want) {
			t.Errorf("StringLen(%s) = %d, want %d", raw, got, len(want))
		}
	case '[':
		var want []json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		i := 0
		for e := range Elements(raw) {
			if i >= len(want) || string(e) != string(want[i]) {
				t.Fatalf("element %d of %s is %s", i, raw, e)
			}
			compareValue(t, e)
			i++
		}
		if i != len(want) {
			t.Errorf("%s: %d elements, want %d", raw, i, len(want))
		}
	}
}

func BenchmarkScan(b *testing.B) {
	body := []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("some words of text ", 5000) + `"}],"stream":true}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Scan(body); err != nil {
			b.Fatal(err)
		}
	}
}

// Members cost memory beside their text, so that their number is bounded; what is inside them is not.
func TestMaxMembers(t *testing.T) {
	object := func(n int) []byte {
		return []byte("{" + strings.TrimSuffix(strings.Repeat(`"a":[1,2],`, n), ",") + "}")
	}
	if o, err := Scan(object(MaxMembers)); err != nil || len(o) != MaxMembers {
		t.Errorf("%d members: %d %v", MaxMembers, len(o), err)
	}
	if _, err := Scan(object(MaxMembers + 1)); err == nil {
		t.Error("too many members are accepted")
	}
}

func TestPieces(t *testing.T) {
	body := []byte(`{"a":1,"b":2}`)
	edits := []Edit{{Start: 5, End: 6, Text: []byte("10")}, {Start: 12, End: 12, Text: []byte(`,"c":3`)}}
	if got := string(bytes.Join(Pieces(body, edits...), nil)); got != `{"a":10,"b":2,"c":3}` || got != string(Splice(body, edits...)) {
		t.Errorf("%s", got)
	}
	if p := Pieces(body); len(p) != 1 || &p[0][0] != &body[0] {
		t.Error("the text was copied")
	}
}
