package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// decoder builds a prompt from a body that parse has accepted. Its methods return a *chat.Error that names the place.
type decoder struct {
	body   []byte
	prompt *chat.Prompt
	// names has the tools' names by the ids of their calls.
	names map[string]string
	// removed are the tools that a system message in mid-conversation has taken away.
	removed map[string]bool
}

// decode reads a body for an upstream of another protocol.
func decode(body []byte, fields jsonscan.Object) (*chat.Prompt, error) {
	d := &decoder{
		body: body, prompt: &chat.Prompt{Choices: 1},
		names: map[string]string{}, removed: map[string]bool{},
	}
	if err := d.decode(fields); err != nil {
		var e *chat.Error
		if !errors.As(err, &e) {
			e = malformed(err)
		}
		return nil, e
	}
	return d.prompt, nil
}

// readers read the top-level fields that a prompt has a place for, in the order in which they are needed.
var readers = []struct {
	name string
	read func(d *decoder, raw []byte) error
}{
	{"system", (*decoder).system},
	{"tools", (*decoder).tools},
	{"thinking", (*decoder).thinking},
	{"output_config", (*decoder).outputConfig},
	{"messages", (*decoder).messages},
	{"tool_choice", (*decoder).toolChoice},
	{"output_format", (*decoder).format},
	{"max_tokens", (*decoder).maxTokens},
	{"stop_sequences", (*decoder).stop},
	{"temperature", (*decoder).temperature},
	{"top_p", (*decoder).topP},
	{"top_k", (*decoder).topK},
	{"metadata", (*decoder).metadata},
	{"cache_control", (*decoder).cache},
}

// silent are fields that ask for nothing that a translated answer lacks: read elsewhere, or values that are every
// upstream's own.
var silent = []string{"model", "stream", "service_tier", "speed", "inference_geo"}

func (d *decoder) decode(fields jsonscan.Object) error {
	known := silent
	for _, r := range readers {
		known = append(known[:len(known):len(known)], r.name)
		if raw := fields.Value(d.body, r.name); !jsonscan.IsNull(raw) {
			if err := r.read(d, raw); err != nil {
				return err
			}
		}
	}
	d.prompt.Tools = slices.DeleteFunc(d.prompt.Tools, func(t chat.Tool) bool { return d.removed[t.Name] })
	for _, m := range fields {
		if raw := d.body[m.ValueStart:m.ValueEnd]; !jsonscan.IsNull(raw) && !slices.Contains(known, m.Name) {
			d.other(m.Name, raw)
		}
	}
	return nil
}

// other notes a parameter that the prompt has no place for.
func (d *decoder) other(name string, raw []byte) {
	d.prompt.Others = append(d.prompt.Others, chat.Parameter{Name: name, Value: json.RawMessage(raw)})
}

// invalid is the error for a value at a place, in the words of Anthropic's API.
func invalid(place, format string, args ...any) error {
	return refuse(place, "invalid_value", "%s: %s", place, fmt.Sprintf(format, args...))
}

// under is the place of the i-th element of an array.
func under(place string, i int) string { return place + "." + strconv.Itoa(i) }

// text reads a string.
func text(place string, raw []byte) (string, error) {
	s, ok := jsonscan.String(raw)
	if !ok {
		return "", invalid(place, "Input should be a valid string")
	}
	return s, nil
}

// optional reads a string that may be absent or null.
func optional(place string, raw []byte) (string, error) {
	if jsonscan.IsNull(raw) {
		return "", nil
	}
	return text(place, raw)
}

// flag reads a boolean that may be absent or null.
func flag(place string, raw []byte) (*bool, error) {
	if jsonscan.IsNull(raw) {
		return nil, nil
	}
	b, ok := jsonscan.Bool(raw)
	if !ok {
		return nil, invalid(place, "Input should be a valid boolean")
	}
	return &b, nil
}

func number(place string, raw []byte) (json.Number, error) {
	if c := raw[0]; c != '-' && (c < '0' || c > '9') {
		return "", invalid(place, "Input should be a valid number")
	}
	return json.Number(raw), nil
}

// members reads an object into its members, the last of a name.
func members(place string, raw []byte) (map[string][]byte, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, invalid(place, "Input should be an object")
	}
	m := map[string][]byte{}
	for name, value := range jsonscan.Members(raw) {
		m[name] = value
	}
	return m, nil
}

// texts reads an array of strings.
func texts(place string, raw []byte) ([]string, error) {
	if jsonscan.IsNull(raw) {
		return nil, nil
	}
	if raw[0] != '[' {
		return nil, invalid(place, "Input should be a valid array")
	}
	var out []string
	for e := range jsonscan.Elements(raw) {
		s, err := text(under(place, len(out)), e)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
