package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/sse"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API, Capability string
	Stream                        bool
	Status                        int
	Files                         struct {
		Response string `json:"response_body"`
		Request  string `json:"request_body"`
	}
}

// protocolOf is the protocol that a recording is of, where the provider is the one whose protocol it is; nil: another's.
func (r recording) protocolOf() Protocol {
	switch r.Provider + " " + r.API {
	case "openai chat":
		return Completions{}
	case "anthropic messages":
		return Messages{}
	case "openai responses":
		return Responses{}
	}
	return nil
}

// faulty says that a recording has what is to be found: an error in a stream, choices that nobody asked for, or the one
// refusal of Anthropic's that comes without its outer type.
func (r recording) faulty() bool {
	return strings.Contains(r.ID, "-stream-error-") || strings.Contains(r.ID, "-n-gt-1-") || r.Provider == "anthropic" && r.Status == 413
}

// TestRecorded: what a provider answered to clients of its own protocol is not found fault with: a check that fails here
// would fail everywhere.
func TestRecorded(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, r := range all {
		p := r.protocolOf()
		if p == nil {
			continue
		}
		body, err := os.ReadFile(filepath.Join(recordings, r.Files.Response))
		if err != nil {
			continue
		}
		seen++
		t.Run(r.ID, func(t *testing.T) {
			if err := r.read(p, body); (err != nil) != r.faulty() {
				t.Errorf("%v", err)
			}
		})
	}
	if seen < 60 {
		t.Errorf("only %d recordings", seen)
	}
}

func (r recording) read(p Protocol, body []byte) error {
	switch {
	case r.Status != 200:
		_, err := p.Failure(body)
		return err
	case !r.Stream:
		_, err := p.Answer(body)
		return err
	}
	reader := sse.NewReader(bytes.NewReader(body), 16<<20)
	var events []Event
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(e.Data) > 0 && e.Name != "keepalive" {
			events = append(events, Event{Name: e.Name, Data: bytes.Clone(e.Data)})
		}
	}
	request, err := os.ReadFile(filepath.Join(recordings, r.Files.Request))
	usage := err == nil && strings.Contains(string(request), `include_usage":true`) || strings.Contains(string(request), `include_usage": true`)
	_, err = p.Stream(events, usage)
	return err
}
