package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/gemini"
	"github.com/layers-dev/layers/dataplane/upstream/openai"
	"github.com/layers-dev/layers/dataplane/upstream/perplexity"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// This file serves what other providers have answered to a client of Messages.

// spoken is what a provider said, read from the recording in another way than the adapters do.
type spoken struct {
	Text  string
	Calls []string
}

func (s *spoken) call(name string, arguments any) {
	if text, ok := arguments.(string); ok {
		var object any
		if json.Unmarshal([]byte(text), &object) != nil {
			object = map[string]any{}
		}
		arguments = object
	}
	if arguments == nil {
		arguments = map[string]any{}
	}
	raw, err := json.Marshal(arguments)
	if err != nil {
		raw = []byte(err.Error())
	}
	s.Calls = append(s.Calls, name+string(raw))
}

// objects are the JSON objects of a recording: the body, the elements of an array, or the events.
func objects(body string) []map[string]any {
	var many []map[string]any
	if json.Unmarshal([]byte(body), &many) == nil {
		return many
	}
	var whole map[string]any
	if json.Unmarshal([]byte(body), &whole) == nil {
		return []map[string]any{whole}
	}
	for _, line := range strings.FieldsFunc(body, func(c rune) bool { return c == '\n' || c == '\r' }) {
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			var v map[string]any
			if json.Unmarshal([]byte(data), &v) == nil {
				many = append(many, v)
			}
		}
	}
	return many
}

// get walks into objects and arrays; nil: nothing is there.
func get(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[key]
		case int:
			array, _ := v.([]any)
			if key >= len(array) {
				return nil
			}
			v = array[key]
		}
	}
	return v
}

func list(v any, path ...any) []any { l, _ := get(v, path...).([]any); return l }

func word(v any, path ...any) string { s, _ := get(v, path...).(string); return s }

// chatSpoken reads chat completions: the first choice.
func chatSpoken(all []map[string]any) spoken {
	var s spoken
	names, arguments := map[int]string{}, map[int]string{}
	for _, v := range all {
		for _, c := range list(v, "choices") {
			if index, _ := get(c, "index").(float64); index != 0 {
				continue
			}
			for _, from := range []string{"message", "delta"} {
				s.Text += word(c, from, "content") + word(c, from, "refusal")
				for i, call := range list(c, from, "tool_calls") {
					if n, ok := get(call, "index").(float64); ok {
						i = int(n)
					}
					names[i] += word(call, "function", "name")
					arguments[i] += word(call, "function", "arguments")
				}
			}
		}
	}
	for i := range len(names) {
		s.call(names[i], arguments[i])
	}
	return s
}

func geminiSpoken(all []map[string]any) spoken {
	var s spoken
	for _, v := range all {
		for _, p := range list(v, "candidates", 0, "content", "parts") {
			if get(p, "thought") == true {
				continue
			}
			s.Text += word(p, "text")
			if f := get(p, "functionCall"); f != nil {
				s.call(word(f, "name"), get(f, "args"))
			}
		}
	}
	return s
}

// responsesSpoken reads the whole response, which a stream's last event has.
func responsesSpoken(all []map[string]any) spoken {
	var s spoken
	last := any(all[len(all)-1])
	if r := get(last, "response"); r != nil {
		last = r
	}
	for _, item := range list(last, "output") {
		for _, c := range list(item, "content") {
			if word(item, "type") == "message" {
				s.Text += word(c, "text") + word(c, "refusal")
			}
		}
		if word(item, "type") == "function_call" {
			s.call(word(item, "name"), word(item, "arguments"))
		}
	}
	return s
}

// provider is who recorded an exchange.
type provider struct {
	upstream chat.Upstream
	kind     snapshot.ProviderType
	spoken   func([]map[string]any) spoken
}

func providers(t *testing.T) func(r recording) (provider, bool) {
	client := transport.New(transport.Options{Version: "test"})
	t.Cleanup(client.CloseIdle)
	shaped := openai.New(client)
	return func(r recording) (provider, bool) {
		switch {
		case r.API == "chat" && r.Provider != "perplexity":
			return provider{shaped, snapshot.OpenAICompatible, chatSpoken}, true
		case r.API == "responses" && r.Provider == "openai":
			return provider{shaped, snapshot.OpenAI, responsesSpoken}, true
		case r.API == "responses" && r.Provider == "perplexity":
			return provider{perplexity.New(client), snapshot.Perplexity, responsesSpoken}, true
		case r.Provider == "gemini" && strings.Contains(strings.ToLower(r.API), "generate"):
			return provider{gemini.New(client, gemini.Options{}), snapshot.Gemini, geminiSpoken}, true
		}
		return provider{}, false
	}
}

// served gives a recorded answer to a client of Messages; an error is the upstream's.
func served(t *testing.T, p provider, r recording, stream bool) (map[string]any, error) {
	t.Helper()
	kind := "application/json"
	if stream {
		kind = "text/event-stream"
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(r.response)
	}))
	defer s.Close()
	req, e := parsed(body(fmt.Sprintf(`"stream":%v,"tools":[{"type":"web_search_20250305","name":"web_search"}]`, stream)))
	if e != nil {
		t.Fatal(e)
	}
	resp, err := p.upstream.Do(t.Context(), chat.Call{
		Request: req, Model: "m", MaxOutputTokens: 100, Provider: &snapshot.Provider{Type: p.kind, BaseURL: s.URL, Credential: "k"},
		Timeouts: snapshot.Timeout{ConnectSeconds: 10, FirstEventSeconds: 10, IdleSeconds: 10, TotalSeconds: 60},
	})
	if err != nil {
		return nil, err
	}
	if resp.Events == nil {
		out, err := Messages{}.Answer(req, resp.Answer, chat.Total{})
		if err != nil {
			t.Fatal(err)
		}
		return decoded(t, out), nil
	}
	defer func() { _ = resp.Events.Close() }()
	w, total := Messages{}.Stream(req), chat.Total{}
	var out []byte
	for {
		ev, err := resp.Events.Next()
		if errors.Is(err, io.EOF) {
			return readStream(t, w.End(out, total)), nil
		}
		if err == nil && ev.Err != nil {
			err = ev.Err
		}
		if err != nil {
			return nil, err
		}
		for i := range ev.Pieces {
			out = w.Write(out, &ev.Pieces[i])
		}
		if ev.Usage != nil {
			total.Usage = *ev.Usage
		}
	}
}

// heard is what a client understands of a message.
func heard(message map[string]any) spoken {
	var s spoken
	for _, b := range list(message, "content") {
		s.Text += word(b, "text")
		if word(b, "type") == "tool_use" {
			s.call(word(b, "name"), get(b, "input"))
		}
	}
	return s
}

// remembered is what an upstream understands of the message as history.
func remembered(t *testing.T, r *chat.Request) spoken {
	t.Helper()
	p, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	var s spoken
	for _, m := range p.Messages {
		if m.Role != chat.Assistant {
			continue
		}
		for _, part := range m.Parts {
			s.Text += part.Text
			if part.Call != nil {
				s.call(part.Call.Name, part.Call.Arguments)
			}
		}
	}
	return s
}

// Whatever another provider answered, a client of Messages hears it, and what the client sends back says the same again.
func TestRecordedAnswersOfOthers(t *testing.T) {
	of := providers(t)
	seen := map[snapshot.ProviderType]int{}
	for _, r := range allRecorded(t) {
		p, ok := of(r)
		if !ok || r.Status != 200 || r.response == nil {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			message, err := served(t, p, r, r.Stream)
			if err != nil {
				if !strings.Contains(r.ID, "error") {
					t.Fatal(err)
				}
				return
			}
			seen[p.kind]++
			want := p.spoken(objects(string(r.response)))
			if d := cmp.Diff(want, heard(message)); d != "" {
				t.Errorf("heard: %s", d)
			}
			if reason := word(message, "stop_reason"); (reason == "tool_use") != (len(want.Calls) > 0) {
				t.Errorf("%d calls and %s", len(want.Calls), reason)
			}
			if len(list(message, "content")) == 0 {
				return // nothing to send back
			}
			back, e := Messages{}.Parse("req_2", nil, history(t, message["content"]))
			if e != nil {
				t.Fatal(e)
			}
			if d := cmp.Diff(want, remembered(t, back)); d != "" && want.Text+fmt.Sprint(want.Calls) != "[]" {
				t.Errorf("remembered: %s", d)
			}
			for _, bad := range []string{"-v1:", searchID, `"signature":""`, `"encrypted_index":""`} {
				if strings.Contains(string(back.Body), bad) {
					t.Errorf("%s goes to Anthropic", bad)
				}
			}
		})
	}
	for _, kind := range []snapshot.ProviderType{snapshot.OpenAICompatible, snapshot.OpenAI, snapshot.Gemini, snapshot.Perplexity} {
		if seen[kind] == 0 {
			t.Errorf("nothing of %s: %v", kind, seen)
		}
	}
}
