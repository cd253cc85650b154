package verify

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// garbage are bodies that are no answer of anything.
var garbage = []string{
	``, `null`, `[]`, `{}`, `7`, `"x"`, `<html>`, `{"error":null}`, `{"error":{"message":null}}`, `{"data":null}`, `{"object":"list","data":[null]}`,
	`{"object":"chat.completion","id":"c","model":"m","created":1,"choices":[null]}`, `{"object":"response","id":"r","model":"m","status":"completed","output":[null],"usage":{}}`,
	`{"type":"message","role":"assistant","id":"m","model":"m","content":[null],"stop_reason":"end_turn","usage":null}`,
	"data: null\n\n", "data: {}\n\ndata: [DONE]\n\n", "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
	"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":null}\n\n",
	"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"tool_calls\":[{\"index\":-1}]}}]}\n\n",
}

// TestGarbage: whatever a gateway answers, the suite ends, and nothing of it counts as right.
func TestGarbage(t *testing.T) {
	for _, body := range garbage {
		for media, status := range map[string]int{"application/json": http.StatusOK, "text/event-stream": http.StatusOK, "": http.StatusServiceUnavailable} {
			f := newFake()
			f.breakReply = func(_ *http.Request, w *recorder) {
				w.status = status
				w.header = http.Header{"Content-Type": {media}}
				w.set([]byte(body))
			}
			o := fakeOptions(f)
			o.Models = []string{fakeModel}
			r := askFake(t, f, o)
			for _, c := range r.Checks {
				// A header with a key is good where the list is JSON of any kind: its content is the next check's.
				if c.Outcome == Passed && (status != http.StatusOK || c.Subject != gatewaySubject) {
					t.Errorf("%d %s %q: %+v", status, media, body, c)
				}
			}
		}
	}
}

// TestGarbageBetween: one reply that breaks off, or goes on as another, among good ones never stops the suite.
func TestGarbageBetween(t *testing.T) {
	for i, with := range garbage {
		f := newFake()
		n := 0
		f.breakReply = func(_ *http.Request, w *recorder) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if n++; n == 5+i*9 {
				body := w.body.Bytes()
				w.set(append(bytes.Clone(body[:min(40+i*20, len(body))]), with...))
			}
		}
		if r := askFake(t, f, fakeOptions(f)); r.Passed == 0 || r.Passed+r.Failed+r.Skipped != len(r.Checks) {
			t.Errorf("%s of %d", r.Summary(), len(r.Checks))
		}
	}
}

// TestAmounts: what two sources of one amount say is compared to the last digit.
func TestAmounts(t *testing.T) {
	for text, good := range map[string]bool{"1": true, "0.000000001": true, "1e-7": true, "": false, "x": false, "1/2": false, "0x1": false, "1_000": false} {
		if got := decimal(text); (got != nil) != good {
			t.Errorf("%q: %v", text, got)
		}
	}
	r := receipt{Object: "usage.receipt", Model: "m", Status: 200, Transaction: "tx", Cost: amount{"0.01", "0.0001"}, Charge: amount{"0.01", "0.0001"}}
	r.Tokens.Input, r.Tokens.CacheRead, r.Tokens.Output = 6, 4, 5
	same := &client.Usage{Input: 10, CacheRead: 4, Output: 5}
	header := http.Header{"X-Layers-Cost": {"0.010"}}
	if err := first(r.matches(same, "m", false), r.priced(decimal("1e-4"), header, false)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"model":       r.matches(same, "other", false),
		"stream":      r.matches(same, "m", true),
		"input":       r.matches(&client.Usage{Input: 11, CacheRead: 4, Output: 5}, "m", false),
		"cached":      r.matches(&client.Usage{Input: 10, CacheRead: 3, Output: 5}, "m", false),
		"output":      r.matches(&client.Usage{Input: 10, CacheRead: 4, Output: 6}, "m", false),
		"last digit":  r.priced(decimal("0.000100001"), header, false),
		"header":      r.priced(decimal("0.0001"), http.Header{"X-Layers-Cost": {"0.011"}}, false),
		"no header":   r.priced(decimal("0.0001"), http.Header{}, false),
		"no charge":   (&receipt{Cost: amount{"0", "0"}}).priced(decimal("0"), header, false),
		"no entry":    (&receipt{Cost: r.Cost, Charge: r.Charge}).priced(decimal("0.0001"), header, false),
		"more charge": (&receipt{Cost: r.Cost, Charge: amount{"0.02", "0.0002"}, Transaction: "tx"}).priced(decimal("0.0001"), header, false),
	} {
		if err == nil {
			t.Errorf("%s is not found", name)
		}
	}
	if err := r.priced(decimal("0.0001"), http.Header{}, true); err != nil {
		t.Errorf("a stream has no header of its cost: %v", err)
	}
}

// TestStanding: where a limit stands, as its headers say.
func TestStanding(t *testing.T) {
	for s, good := range map[standing]bool{
		{}: true, {"10", "10", "0s"}: true, {"10", "0", "6m0s"}: true, {"10", "", "1s"}: false, {"", "1", "1s"}: false, {"10", "11", "1s"}: false,
		{"10", "-1", "1s"}: false, {"0", "0", "1s"}: false, {"10", "1", "60"}: false, {"10", "1", "-1s"}: false, {"ten", "1", "1s"}: false,
	} {
		if err := s.consistent("requests"); (err == nil) != good {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestPlaced: what follows the schema, to the letter.
func TestPlaced(t *testing.T) {
	for text, good := range map[string]bool{
		`{"city":"Lisbon","founded":-1200,"coast":true}`: true, ` {"coast":false,"founded":1e3,"city":""} `: true,
		`{"city":"Lisbon","founded":1.5,"coast":true}`: false, `{"city":"Lisbon","founded":"1","coast":true}`: false, `{"city":"Lisbon","founded":1,"coast":"yes"}`: false,
		`{"city":null,"founded":1,"coast":true}`: false, `{"city":"Lisbon","founded":1}`: false, `{"city":"Lisbon","founded":1,"coast":true,"x":1}`: false,
		`{"city":"Lisbon","founded":1,"coast":true} ok`: false, "```json\n{}\n```": false, ``: false,
	} {
		if err := placed(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
