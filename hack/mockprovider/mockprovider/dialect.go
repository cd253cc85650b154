package mockprovider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// object is a JSON object.
type object = map[string]any

// dialect is how one provider speaks.
type dialect interface {
	// ids is the format of its answers' ids.
	ids() string
	// read checks a request as the provider does.
	read(r *http.Request, body []byte, in *request) *failure
	// failure is the body of an error; it may set headers.
	failure(h http.Header, id string, f failure) any
	// unary is the body of an answer, events are its stream.
	unary(e *exchange) any
	events(e *exchange) []event
	// broken is the event of an error in a stream.
	broken(e *exchange, f failure) string
}

// event is one event of a stream with its framing. The script's chunks are those with content.
type event struct {
	text    string
	content bool
}

// failure is an error of any provider; empty fields are the dialect's to fill.
type failure struct {
	status              int
	kind, code, message string
	param, retryAfter   string
	reason              string // Gemini's ErrorInfo
}

func refuse(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// request is what a request of any dialect says.
type request struct {
	// Key is the credential that is right; empty: any.
	Key    string
	Model  string
	Stream bool
	N      int
	// Usage says that a stream tells it.
	Usage bool
	// Prompt is the text of the last message; Results says that it has tools' results.
	Prompt  string
	Results bool
	Tools   []tool
	// Force is the tool that must be called, "*" for any, or forceNone.
	Force string
	// Schema is that of the answer; JSON asks for any object.
	Schema json.RawMessage
	JSON   bool
	// Think says that thinking is asked for, ThinkText that it is to be read.
	Think, ThinkText bool
	// Encrypted says that thoughts are to be sent along in a form that only the provider reads.
	Encrypted bool
	// Thoughts is how many genuine ones came back.
	Thoughts int
	// Inputs are what to embed, Base64 how to write it.
	Inputs []string
	Base64 bool
	Size   int
}

// tool is one that the model may call.
type tool struct {
	Name   string
	Schema json.RawMessage
	// Custom says that it takes free text.
	Custom bool
}

// part is a part of an answer, in order.
type part struct {
	// thought, text or call
	kind string
	text string
	tool tool
	id   string
	// arguments of a call, as JSON.
	arguments string
}

// forceNone forbids calls.
const forceNone = "-"

const (
	kindThought = "thought"
	kindText    = "text"
	kindCall    = "call"
)

// sign proves that the mock said a thing.
func sign(kind, text string) string {
	sum := sha256.Sum256([]byte("mock " + kind + "\x00" + text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// textOf is the text of content that is a string or a list of parts with text.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	// Content of another shape has no text.
	_ = json.Unmarshal(raw, &parts)
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(part.Text)
	}
	return b.String()
}

// encode writes JSON as providers do, without escapes for HTML; what the mock builds always encodes.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n")
}

// unknown is the first member of an object that is none of the names.
func unknown(body []byte, names string) string {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(body, &all)
	known := " " + names + " "
	for name := range all {
		if !strings.Contains(known, " "+name+" ") {
			return name
		}
	}
	return ""
}
