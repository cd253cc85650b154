package anthropic

import (
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file decodes what is shown to a model beside the words, and what searches have found.

func (t *turn) image(place string, m map[string][]byte) error {
	media, err := t.media(place+".source", m["source"])
	if err != nil {
		return err
	}
	if media.Text != "" {
		return invalid(place+".source.type", "Input should be 'base64' or 'url'")
	}
	t.add(chat.Part{Kind: chat.PartImage, Media: media})
	return nil
}

// document reads {source, title, context}. The context is told before it, as the API does.
func (t *turn) document(place string, m map[string][]byte) error {
	title, err := optional(place+".title", m["title"])
	if err != nil {
		return err
	}
	context, err := optional(place+".context", m["context"])
	if err != nil {
		return err
	}
	if context != "" {
		t.add(chat.Part{Kind: chat.PartText, Text: context})
	}
	if kind, _ := jsonscan.String(jsonscan.Field(m["source"], "type")); kind == "content" {
		return t.pages(place+".source.content", title, jsonscan.Field(m["source"], "content"))
	}
	media, err := t.media(place+".source", m["source"])
	if err != nil {
		return err
	}
	media.Name = title
	t.add(chat.Part{Kind: chat.PartDocument, Media: media})
	return nil
}

// media reads a source: base64, url or text. A file's id is known at the provider alone.
func (t *turn) media(place string, raw []byte) (*chat.Media, error) {
	m, err := members(place, raw)
	if err != nil {
		return nil, err
	}
	kind, err := text(place+".type", m["type"])
	if err != nil {
		return nil, err
	}
	media := &chat.Media{}
	switch kind {
	case "url":
		media.URL, err = text(place+".url", m["url"])
		return media, err
	case "base64":
		if media.Base64, err = text(place+".data", m["data"]); err != nil {
			return nil, err
		}
	case "text":
		if media.Text, err = text(place+".data", m["data"]); err != nil {
			return nil, err
		}
	default:
		return nil, unsupported(place, "'%s' of the type '%s': the model that serves this request cannot read it", place, clip(kind))
	}
	media.Type, err = text(place+".media_type", m["media_type"])
	return media, err
}

// pages reads a document made of blocks: its text as one, its images behind it.
func (t *turn) pages(place, title string, raw []byte) error {
	parts, err := t.resultParts(place, raw)
	if err != nil {
		return err
	}
	var words []string
	for i := range parts {
		if parts[i].Kind == chat.PartText {
			words = append(words, parts[i].Text)
		}
	}
	if len(words) > 0 {
		t.add(chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "text/plain", Text: strings.Join(words, "\n\n"), Name: title}})
	}
	for i := range parts {
		if parts[i].Kind == chat.PartImage {
			t.add(parts[i])
		}
	}
	return nil
}

// searchResult is what a search of the client's own has found: {title, source, content}.
func (t *turn) searchResult(place string, m map[string][]byte) error {
	title, err := optional(place+".title", m["title"])
	if err != nil {
		return err
	}
	source, err := optional(place+".source", m["source"])
	if err != nil {
		return err
	}
	parts, err := t.resultParts(place+".content", m["content"])
	if err != nil {
		return err
	}
	words := []string{title + " (" + source + ")"}
	for i := range parts {
		if parts[i].Kind == chat.PartText {
			words = append(words, parts[i].Text)
		}
	}
	t.add(chat.Part{Kind: chat.PartText, Text: strings.Join(words, "\n\n")})
	return nil
}

// searched is what a search of the provider's has found. The words that it led to stand behind it; its own text is
// encrypted, so that only titles and addresses are kept, for a turn without words.
func (t *turn) searched(_ string, m map[string][]byte) error {
	var b strings.Builder
	for r := range jsonscan.Elements(m["content"]) {
		title, _ := jsonscan.String(jsonscan.Field(r, "title"))
		if url, _ := jsonscan.String(jsonscan.Field(r, "url")); url != "" {
			b.WriteString("\n- " + title + " (" + url + ")")
		}
	}
	if b.Len() > 0 {
		t.found = append(t.found, "A web search found:"+b.String())
	}
	return nil
}

// reference says that a tool was found; every tool is given from the beginning.
func (t *turn) reference(place string, m map[string][]byte) error {
	name, err := text(place+".tool_name", m["tool_name"])
	if err == nil {
		t.add(chat.Part{Kind: chat.PartText, Text: "The tool " + name + " is available."})
	}
	return err
}

// compaction is a summary of what was said before.
func (t *turn) compaction(place string, m map[string][]byte) error {
	summary, err := optional(place+".content", m["content"])
	if err != nil {
		return err
	}
	if summary == "" {
		return unsupported(place, "'%s' of the type 'compaction' that is encrypted: only its maker's models can read it", place)
	}
	t.add(chat.Part{Kind: chat.PartText, Text: summary})
	return nil
}

// toolAddition gives the model a tool in mid-conversation; here it has all from the beginning.
func (t *turn) toolAddition(place string, m map[string][]byte) error {
	tool, err := members(place+".tool", m["tool"])
	if err != nil {
		return err
	}
	if d := tool["definition"]; !jsonscan.IsNull(d) {
		name, _ := jsonscan.String(jsonscan.Field(d, "name"))
		delete(t.removed, name)
		t.prompt.Tools = slices.DeleteFunc(t.prompt.Tools, func(old chat.Tool) bool { return old.Name == name })
		return t.tool(place+".tool.definition", d)
	}
	name, err := text(place+".tool.name", tool["name"])
	delete(t.removed, name)
	return err
}

func (t *turn) toolRemoval(place string, m map[string][]byte) error {
	tool, err := members(place+".tool", m["tool"])
	if err != nil {
		return err
	}
	name, err := text(place+".tool.name", tool["name"])
	t.removed[name] = true
	return err
}
