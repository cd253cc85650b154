package demo

import (
	"strings"
	"testing"
)

func TestSample(t *testing.T) {
	for in, want := range map[string]string{
		``:                  `{}`,
		`null`:              `{}`,
		`true`:              `{}`,
		`{"type":"string"}`: `{}`,
		`{"type":"object"}`: `{}`,
		`{"required":["a"],"properties":{"a":{"type":"boolean"},"b":{}}}`: `{"a":true}`,
		`{"type":"object","required":["a","b","c","d","e","f","g"],"properties":{
			"a":{"type":["integer","null"],"minimum":5},"b":{"const":{"x":1}},"c":{"enum":["z","y"]},"d":{"default":7},
			"e":{"anyOf":[{"type":"null"},{}]},"f":{"type":"array","items":{"type":"number"},"minItems":2},"g":{"type":"string","minLength":6}}}`: `{"a":5,"b":{"x":1},"c":"z","d":7,"e":null,"f":[1,1],"g":"demooo"}`,
		`{"$defs":{"n":{"type":"object","required":["v"],"properties":{"v":{"oneOf":[{"type":"array"}]}}}},"type":"object","required":["n"],"properties":{"n":{"$ref":"#/$defs/n"}}}`: `{"n":{"v":[]}}`,
		`{"type":"object","required":["unknown"]}`:                                                     `{"unknown":"demo"}`,
		`{"type":"object","required":["a"],"properties":{"a":{"type":"array","minItems":1000000000}}}`: `{"a":["demo","demo","demo","demo","demo","demo","demo","demo"]}`,
	} {
		if got := sample([]byte(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// A schema that refers to itself ends.
func TestSampleRecursive(t *testing.T) {
	got := sample([]byte(`{"$defs":{"n":{"type":"object","required":["n"],"properties":{"n":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"}`))
	if len(got) > 1000 {
		t.Errorf("%d bytes", len(got))
	}
	if long := sample([]byte(`{"type":"object","required":["` + strings.Repeat("x", maxSchema) + `"]}`)); long != "{}" {
		t.Errorf("a long schema gives %d bytes", len(long))
	}
	// Eight to the power of the depth.
	wide := sample([]byte(`{"$defs":{"n":{"type":"array","minItems":8,"items":{"$ref":"#/$defs/n"}}},"type":"object","required":["a"],"properties":{"a":{"$ref":"#/$defs/n"}}}`))
	if len(wide) > 100*maxValues {
		t.Errorf("%d bytes", len(wide))
	}
}
