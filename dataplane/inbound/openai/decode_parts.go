package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// content reads a message's content: a string, or an array of parts. Empty texts are left out: other protocols refuse them.
func content(param string, role chat.Role, raw []byte) ([]chat.Part, error) {
	if text, ok := jsonscan.String(raw); ok {
		return textPart(text), nil
	}
	if raw[0] == '{' {
		return contentPart(param, role, raw)
	}
	if raw[0] != '[' {
		return nil, wrongType(param, "a string or an array of objects", raw)
	}
	var out []chat.Part
	i := 0
	for element := range jsonscan.Elements(raw) {
		parts, err := contentPart(at(param, i), role, element)
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
		i++
	}
	return out, nil
}

func textPart(text string) []chat.Part {
	if text == "" {
		return nil
	}
	return []chat.Part{{Kind: chat.PartText, Text: text}}
}

// contentPart reads one part: none, or one.
func contentPart(param string, role chat.Role, raw []byte) ([]chat.Part, error) {
	if text, ok := jsonscan.String(raw); ok {
		return textPart(text), nil
	}
	if raw[0] != '{' {
		return nil, wrongType(param, "an object", raw)
	}
	parts, err := partOf(param, role, raw)
	if err == nil {
		mark(parts, jsonscan.Field(raw, "cache_control"))
	}
	return parts, err
}

func partOf(param string, role chat.Role, raw []byte) ([]chat.Part, error) {
	kind, _ := jsonscan.String(jsonscan.Field(raw, "type"))
	switch kind {
	case "text", "input_text", "output_text":
		return stringPart(param, "text", chat.PartText, raw)
	case "refusal":
		if role == chat.Assistant {
			return stringPart(param, "refusal", chat.PartRefusal, raw)
		}
	case "thinking", "redacted_thinking", "reasoning":
		if role == chat.Assistant {
			return thoughtPart(param, kind, raw)
		}
	case "image_url", "input_image", "image", "file", "input_file", "document":
		if role == chat.User {
			return mediaPart(param, kind, raw)
		}
	}
	return nil, refuse(param+".type", "invalid_value", "Invalid value: '%s'. Supported values are: %s.", clip(kind), supported[role])
}

// supported are the parts that a role may have, for people.
var supported = map[chat.Role]string{
	chat.System:    "'text'",
	chat.User:      "'text', 'image_url', and 'file'",
	chat.Assistant: "'text' and 'refusal'",
}

func stringPart(param, member string, kind chat.PartKind, raw []byte) ([]chat.Part, error) {
	v := jsonscan.Field(raw, member)
	text, ok := jsonscan.String(v)
	if !ok {
		if v == nil {
			return nil, refuse(param+"."+member, "missing_required_parameter", "Missing required parameter: '%s.%s'.", param, member)
		}
		return nil, wrongType(param+"."+member, "a string", v)
	}
	if text == "" {
		return nil, nil
	}
	return []chat.Part{{Kind: kind, Text: text}}, nil
}

// thoughtPart reads a thought that stands among the parts of an answer, as Anthropic's do; a part of type reasoning has text.
func thoughtPart(param, kind string, raw []byte) ([]chat.Part, error) {
	t, err := readBlock(param, raw)
	if err != nil {
		return nil, err
	}
	if kind == "reasoning" {
		t = chat.Thought{}
		t.Text, _ = jsonscan.String(jsonscan.Field(raw, "text"))
	}
	if t.Text == "" && !signed(&t) {
		return nil, nil
	}
	return []chat.Part{{Kind: chat.PartThought, Thought: &t}}, nil
}

// mediaFields are the members in which clients put images and files.
type mediaFields struct {
	url, data, name, detail string
	// kind is the media type where a member of its own says it.
	kind string
	text string
}

func mediaPart(param, kind string, raw []byte) ([]chat.Part, error) {
	var f mediaFields
	var where string
	var err error
	switch kind {
	case "image_url", "input_image":
		where, err = f.image(param, raw)
	case "file", "input_file":
		where, err = f.file(param, kind, raw)
	default:
		where, err = f.source(param, raw)
	}
	if err != nil {
		return nil, err
	}
	m, err := f.media(where)
	if err != nil {
		return nil, err
	}
	part := chat.PartDocument
	if isImage(m, kind) {
		part = chat.PartImage
	}
	return []chat.Part{{Kind: part, Media: m}}, nil
}

// image reads {"image_url":{"url","detail"}}; the object may be the URL itself.
func (f *mediaFields) image(param string, raw []byte) (string, error) {
	param += ".image_url"
	v := jsonscan.Field(raw, "image_url")
	if jsonscan.IsNull(v) {
		return "", refuse(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
	}
	if url, ok := jsonscan.String(v); ok {
		f.url = url
		f.detail, _ = jsonscan.String(jsonscan.Field(raw, "detail"))
		return param, nil
	}
	var o struct{ URL, Detail string }
	if err := object(param, v, &o); err != nil {
		return "", err
	}
	f.url, f.detail = o.URL, o.Detail
	return param + ".url", nil
}

// file reads {"file":{"file_data","filename"}}, or the same in the part itself. The data is a data URL, a URL of the web, or
// bare base64.
func (f *mediaFields) file(param, kind string, raw []byte) (string, error) {
	if v := jsonscan.Field(raw, kind); kind == "file" && !jsonscan.IsNull(v) {
		param, raw = param+".file", v
	}
	var o struct {
		Data string `json:"file_data"`
		Name string `json:"filename"`
		URL  string `json:"file_url"`
		ID   string `json:"file_id"`
	}
	if err := object(param, raw, &o); err != nil {
		return "", err
	}
	f.name = o.Name
	if o.ID != "" {
		return "", refuse(param+".file_id", "unsupported_parameter", "Unsupported parameter: '%s.file_id': %s.", param, uploads)
	}
	if o.Data == "" && o.URL != "" {
		f.url = o.URL
		return param + ".file_url", nil
	}
	if looksLikeURL(o.Data) {
		f.url = o.Data
	} else {
		f.data = o.Data
	}
	return param + ".file_data", nil
}

// source reads Anthropic's {"source":{"type","media_type","data","url"},"title"}.
func (f *mediaFields) source(param string, raw []byte) (string, error) {
	var o struct {
		Title  string
		Source struct {
			Type      string
			MediaType string `json:"media_type"`
			Data, URL string
		}
	}
	if err := object(param, raw, &o); err != nil {
		return "", err
	}
	f.name, f.url, f.kind = o.Title, o.Source.URL, o.Source.MediaType
	switch o.Source.Type {
	case "base64", "":
		f.data = o.Source.Data
		return param + ".source.data", nil
	case "text":
		f.text = o.Source.Data
		return param + ".source.data", nil
	case "url":
		return param + ".source.url", nil
	}
	return "", refuse(param+".source.type", "invalid_value", "Invalid value: '%s'. Supported values of '%s.source.type' are: 'base64', 'url', and 'text'.", clip(o.Source.Type), param)
}
