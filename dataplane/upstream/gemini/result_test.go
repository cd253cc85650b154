package gemini

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text   string
		failed bool
		want   string
	}{
		{"sunny", false, `{"result":"sunny"}`},
		{"", false, `{"result":""}`},
		{`[1,2]`, false, `{"result":"[1,2]"}`},
		{` {"b":1,"a":2.50} `, false, `{"b":1,"a":2.50}`},
		{`{"id":12345678901234567890}`, false, `{"result":"{\"id\":12345678901234567890}"}`},
		{`{"a":[{"n":-0.1234567890123456}]}`, false, `{"result":"{\"a\":[{\"n\":-0.1234567890123456}]}"}`},
		{`{"schema":[{"$ref":"#/a"}]}`, false, `{"result":"{\"schema\":[{\"$ref\":\"#/a\"}]}"}`},
		{`{"broken"`, false, `{"result":"{\"broken\""}`},
		{"<b>&", false, `{"result":"<b>&"}`},
		{`{"why":"x"}`, true, `{"error":"{\"why\":\"x\"}"}`},
	} {
		got, err := wrap(c.text, c.failed)
		if err != nil || string(got) != c.want {
			t.Errorf("wrap(%q): got %s, want %s, %v", c.text, got, c.want, err)
		}
	}
}

func TestFilesInResults(t *testing.T) {
	messages := []chat.Message{
		assistant(calls("1", "shot", "{}", ""), calls("2", "shot", "{}", "")),
		user(answers("1", "shot", said("a"), said("b"), image(chat.Media{Type: "image/png", Base64: "AAAA"}))),
		user(answers("2", "shot", chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Text: "words"}})),
	}
	old, _, _ := contentsOf(t, second25, messages...)
	want := jsonValue(t, `[{"role":"model","parts":[{"functionCall":{"name":"shot","args":{}}},{"functionCall":{"name":"shot","args":{}}}]},
		{"role":"user","parts":[{"functionResponse":{"name":"shot","response":{"result":"a\nb"}}},{"functionResponse":{"name":"shot","response":{"result":"words"}}}]},
		{"role":"user","parts":[{"text":"The files in the result of shot:"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}]`)
	if d := cmp.Diff(want, old); d != "" {
		t.Error("apart:", d)
	}
	later, _, _ := contentsOf(t, third35, messages...)
	want = jsonValue(t, `{"role":"user","parts":[
		{"functionResponse":{"id":"1","name":"shot","response":{"result":"a\nb"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}},
		{"functionResponse":{"id":"2","name":"shot","response":{"result":"words"}}}]}`)
	if d := cmp.Diff(want, later.([]any)[1]); d != "" {
		t.Error("inside:", d)
	}
}

func TestMedia(t *testing.T) {
	png := base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n and so on"))
	for name, c := range map[string]struct {
		kind chat.PartKind
		m    chat.Media
		want string
	}{
		"bytes":               {chat.PartImage, chat.Media{Type: "image/webp", Base64: "AAAA"}, `{"inlineData":{"mimeType":"image/webp","data":"AAAA"}}`},
		"bytes of no type":    {chat.PartImage, chat.Media{Base64: png}, `{"inlineData":{"mimeType":"image/png","data":"` + png + `"}}`},
		"a wide type":         {chat.PartImage, chat.Media{Type: "image/*", Base64: "AAAA"}, `{"inlineData":{"mimeType":"image/jpeg","data":"AAAA"}}`},
		"a URL":               {chat.PartImage, chat.Media{URL: "https://a.b/c.PNG?d=e.gif"}, `{"fileData":{"mimeType":"image/png","fileUri":"https://a.b/c.PNG?d=e.gif"}}`},
		"a URL that is plain": {chat.PartImage, chat.Media{URL: "https://a.b/c"}, `{"fileData":{"mimeType":"image/jpeg","fileUri":"https://a.b/c"}}`},
		"a document's URL":    {chat.PartDocument, chat.Media{URL: "https://a.b/c"}, `{"fileData":{"mimeType":"application/pdf","fileUri":"https://a.b/c"}}`},
		"a document's name":   {chat.PartDocument, chat.Media{Base64: "AAAA", Name: "x.csv"}, `{"inlineData":{"mimeType":"text/csv","data":"AAAA"}}`},
		"a text":              {chat.PartDocument, chat.Media{Text: "words", Name: "x.txt"}, `{"text":"words"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, _ := contentsOf(t, third35, user(chat.Part{Kind: c.kind, Media: &c.m}))
			if d := cmp.Diff(jsonValue(t, `[{"role":"user","parts":[`+c.want+`]}]`), got); d != "" {
				t.Error(d)
			}
		})
	}
}
