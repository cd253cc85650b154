package anthropic

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// shapes are the members that objects of a kind have: those that all of them have.
type shapes map[string]map[string]bool

func (s shapes) add(kind string, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	old, seen := s[kind]
	if !seen {
		s[kind] = map[string]bool{}
		for name := range object {
			s[kind][name] = true
		}
		return
	}
	for name := range old {
		if _, ok := object[name]; !ok {
			delete(old, name)
		}
	}
}

// message notes the shapes in a unary answer.
func (s shapes) message(v map[string]any) {
	s.add("message", v)
	s.add("usage", v["usage"])
	content, _ := v["content"].([]any)
	for _, b := range content {
		if block, ok := b.(map[string]any); ok {
			s.add("block "+block["type"].(string), b)
		}
	}
}

// event notes the shapes in one event.
func (s shapes) event(v map[string]any) {
	kind := v["type"].(string)
	s.add("event "+kind, v)
	switch kind {
	case "message_start":
		message := v["message"].(map[string]any)
		s.add("message begun", message)
		s.add("usage begun", message["usage"])
	case "message_delta":
		s.add("delta of the message", v["delta"])
		s.add("usage of the delta", v["usage"])
	case "content_block_start":
		block := v["content_block"].(map[string]any)
		s.add("start "+block["type"].(string), block)
	case "content_block_delta":
		delta := v["delta"].(map[string]any)
		s.add("delta "+delta["type"].(string), delta)
	case "error":
		s.add("error", v["error"])
	}
}

// recordedShapes are Anthropic's.
func recordedShapes(t *testing.T) shapes {
	s := shapes{}
	for _, r := range recorded(t) {
		if r.Status != 200 || r.API != "messages" {
			continue
		}
		stream := strings.HasSuffix(r.Files.Response, ".sse")
		for _, data := range datas(r) {
			v := decoded(t, data)
			if stream {
				s.event(v)
			} else {
				s.message(v)
			}
		}
	}
	return s
}

// ourShapes are those of an answer that has everything.
func ourShapes(t *testing.T) shapes {
	total := chat.Total{Usage: pricing.Usage{Input: 1, Output: 2}, CostUSD: "0.1"}
	citation := chat.Citation{URL: "https://a", Title: "A", Quote: "q"}
	source := chat.Source{URL: "https://a", Title: "A"}
	signed := chat.Thought{Signature: "s", Format: chat.FormatAnthropic}
	hidden := chat.Thought{Encrypted: "e", Format: chat.FormatAnthropic}
	call := chat.ToolCall{ID: "c", Name: "f", Arguments: "{}"}
	a := one(chat.FinishStop, thoughtPart(signed), thoughtPart(hidden), chat.Part{Kind: chat.PartText, Text: "x", Citations: []chat.Citation{citation}}, callPart(call))
	a.Sources = []chat.Source{source}
	body, err := Messages{}.Answer(&chat.Request{ID: "req_1"}, a, total)
	if err != nil {
		t.Fatal(err)
	}
	s := shapes{}
	s.message(decoded(t, body))
	stream := string(written([]chat.Piece{
		reasoningPiece("x"), signedPiece(signed), signedPiece(hidden), {Kind: chat.PieceSource, Source: &source},
		textPiece("x"), {Kind: chat.PieceCitation, Citation: &citation}, callPiece(0, call),
	}, total)) + string(Messages{}.ErrorEvent(&chat.Error{Status: 529, Message: "m"}))
	for _, line := range strings.Split(stream, "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			s.event(decoded(t, []byte(data)))
		}
	}
	return s
}

// lacking are members that all recordings of a kind have and that mean nothing here: caller says which of the provider's
// tools a call comes from, and the id of a failed request is in the headers, which are sent before.
var lacking = map[string][]string{
	"block tool_use": {"caller"}, "start web_search_tool_result": {"caller"}, "event error": {"request_id"}, "error": {"details"},
}

// Whatever members all of Anthropic's answers have, ours have too.
func TestShapes(t *testing.T) {
	theirs, mine := recordedShapes(t), ourShapes(t)
	if len(theirs) < 25 {
		t.Fatalf("only %d kinds: %v", len(theirs), slices.Sorted(maps.Keys(theirs)))
	}
	for kind, members := range theirs {
		if kind == "event ping" {
			continue // none is needed
		}
		if mine[kind] == nil {
			t.Errorf("no %s", kind)
			continue
		}
		for name := range members {
			if !mine[kind][name] && !slices.Contains(lacking[kind], name) {
				t.Errorf("%s without %s", kind, name)
			}
		}
	}
}

// An error of a status is of the type that Anthropic gives it, in the same shape.
func TestRecordedErrors(t *testing.T) {
	seen := 0
	for _, r := range recorded(t) {
		if r.Status < 400 {
			continue
		}
		seen++
		var want struct {
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal(r.response, &want); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		w.Header().Set("X-Request-Id", "req_1")
		Messages{}.Error(w, &chat.Error{Status: r.Status, Message: want.Error.Message})
		var got struct {
			Type  string
			ID    string `json:"request_id"`
			Error struct{ Type, Message string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if w.Code != r.Status || got.Type != "error" || got.ID != "req_1" || got.Error != want.Error {
			t.Errorf("%s: %d %+v, want %+v", r.ID, w.Code, got, want)
		}
	}
	if seen < 8 {
		t.Errorf("only %d errors", seen)
	}
}

// A list of models has the members of Anthropic's.
func TestRecordedModels(t *testing.T) {
	seen := 0
	for _, r := range recordedAPIs(t, "models") {
		theirs := decoded(t, r.response)
		ours := decoded(t, ModelList([]ModelInfo{{ID: "m", Capabilities: []string{}}}))
		for _, path := range [][]any{{}, {"data", 0}, {"data", 0, "capabilities"}, {"data", 0, "capabilities", "effort"}, {"data", 0, "capabilities", "thinking", "types"}} {
			mine, _ := get(ours, path...).(map[string]any)
			for name := range get(theirs, path...).(map[string]any) {
				if _, ok := mine[name]; !ok {
					t.Errorf("no %s in %v", name, path)
				}
			}
		}
		seen++
	}
	if seen == 0 {
		t.Error("no list")
	}
}

// Every recorded request stays what it is for money, whatever a client adds: no field that changes a price slips through.
func TestRecordedRequestsRefuse(t *testing.T) {
	for _, r := range recorded(t) {
		if r.request == nil || r.API != "messages" {
			continue
		}
		for _, f := range Fields() {
			if f.Effect != Refused {
				continue
			}
			in := append([]byte(`{"`+f.Name+`":{},`), strings.TrimLeft(string(r.request), " \n\t{")...)
			if _, e := (Messages{}).Parse("", nil, in); e == nil || e.Param != f.Name {
				t.Errorf("%s with %s: %v", r.ID, f.Name, e)
			}
		}
	}
}

// What a recorded request needs is what is in it.
func TestRecordedNeeds(t *testing.T) {
	for _, r := range recorded(t) {
		if r.request == nil || r.API != "messages" {
			continue
		}
		req, e := Messages{}.Parse("", nil, r.request)
		if e != nil {
			t.Errorf("%s: %v", r.ID, e)
			continue
		}
		v := decoded(t, r.request)
		thinking, _ := v["thinking"].(map[string]any)
		output, _ := v["output_config"].(map[string]any)
		search, tools := 0, 0
		list, _ := v["tools"].([]any)
		for _, tool := range list {
			if kind, _ := tool.(map[string]any)["type"].(string); strings.HasPrefix(kind, "web_search") {
				search++
			} else {
				tools++
			}
		}
		compact, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text := string(compact)
		for need, want := range map[string]bool{
			needStreaming: v["stream"] == true, needThinking: thinking != nil && thinking["type"] != "disabled", needJSON: output["format"] != nil,
			needTools: tools > 0, needSearch: search > 0,
			needVision: strings.Contains(text, `"type":"base64"`) || strings.Contains(text, `"type":"url"`) || strings.Contains(text, `"type":"file"`),
		} {
			if slices.Contains(req.Needs, need) != want {
				t.Errorf("%s: needs %v, and %s is %v", r.ID, req.Needs, need, want)
			}
		}
		if max, _ := v["max_tokens"].(float64); req.MaxOutputTokens != int64(max) || (req.Searches > 0) != (search > 0) || req.Model != v["model"] {
			t.Errorf("%s: %+v", r.ID, req)
		}
	}
}
