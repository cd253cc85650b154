// Package wire looks at recorded exchanges with providers the way a client does: what an answer says (text, reasoning, calls,
// citations, why it ended, what it used, what went wrong), read with encoding/json alone from the provider's bytes and from a
// client's, so that both can be compared. It knows nothing of the gateway's packages: its tests run the gateway between the
// two. The recordings are no part of the repository; without them the tests skip.
package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// Case is one recorded exchange.
type Case struct {
	ID, Tier, Provider, API, Capability, Model string
	Stream                                     bool
	Status                                     int
	// Also are other capabilities seen in it.
	Also []string
	// Request is what was sent to the provider; nil: not recorded. Body is what it answered, Compressed the same as it was on
	// the wire, in gzip; nil: not recorded.
	Request, Body, Compressed []byte
	// Header are the answer's.
	Header http.Header
}

// Load reads the manifest in dir and every exchange of it. An error says which file is missing or broken.
func Load(dir string) ([]Case, error) {
	var rows []struct {
		ID, Tier, Provider, API, Capability, Model string
		Stream                                     bool
		Status                                     int
		Also                                       []string
		Files                                      struct {
			Request    string `json:"request_body"`
			Body       string `json:"response_body"`
			Compressed string `json:"response_body_gzip"`
			Exchange   string
		}
	}
	if err := read(dir, "manifest.json", &rows); err != nil {
		return nil, err
	}
	out := make([]Case, 0, len(rows))
	for _, r := range rows {
		c := Case{ID: r.ID, Tier: r.Tier, Provider: r.Provider, API: r.API, Capability: r.Capability, Model: r.Model, Stream: r.Stream, Status: r.Status, Also: r.Also}
		var exchange struct {
			Response struct{ Headers map[string][]string }
		}
		if err := read(dir, r.Files.Exchange, &exchange); err != nil {
			return nil, err
		}
		c.Header = http.Header{}
		for name, values := range exchange.Response.Headers {
			c.Header[http.CanonicalHeaderKey(name)] = values
		}
		for name, to := range map[string]*[]byte{r.Files.Request: &c.Request, r.Files.Body: &c.Body, r.Files.Compressed: &c.Compressed} {
			if name == "" {
				continue
			}
			var err error
			if *to, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("reading a recording: %w", err)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func read(dir, name string, to any) error {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("reading a recording: %w", err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}
