package up

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
)

// slowProvider streams a word, then waits for its client to leave or for goOn, and says which came.
type slowProvider struct {
	url        string
	asked      chan struct{}
	goOn, left chan struct{}
}

func newSlowProvider(t *testing.T) *slowProvider {
	t.Helper()
	s := &slowProvider{asked: make(chan struct{}, 8), goOn: make(chan struct{}), left: make(chan struct{}, 8)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server hears that its client left when the body is read
		whole := upstreamStream(1)
		first := strings.Index(whole, `"finish_reason":"stop"`)
		first = strings.LastIndex(whole[:first], "data: ")
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, whole[:first])
		_ = http.NewResponseController(w).Flush()
		s.asked <- struct{}{}
		select {
		case <-s.goOn:
			_, _ = io.WriteString(w, whole[first:])
		case <-r.Context().Done():
			s.left <- struct{}{}
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/v1"
	return s
}

// open begins a stream and reads its first bytes; leaving it is for the caller.
func (p *process) open(ctx context.Context, t *testing.T) *http.Response {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.API+"/v1/chat/completions", strings.NewReader(with(`"stream":true`)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+plainKey)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		_, err = io.ReadFull(res.Body, make([]byte, 1))
		if err == nil && res.StatusCode == http.StatusOK {
			return res
		}
		// On a machine that is very busy admission may take longer than it waits: a 503 before the provider is asked.
		if err != nil || res.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("%d, %v", res.StatusCode, err)
		}
	}
}

// TestCancelStopsBilling: a client that leaves a stream ends the provider's call where that ends its bill, and is charged
// what it saw; elsewhere the answer is read to its end and its reported usage is charged.
func TestCancelStopsBilling(t *testing.T) {
	tests := map[string]struct {
		field    string
		ends     bool
		evidence string
	}{
		"Yes": {"cancelStopsBilling: 'Yes', ", true, "estimated"},
		"No":  {"cancelStopsBilling: 'No', ", false, "reported"},
		// OpenAI and those that are like it stop.
		"Auto": {"cancelStopsBilling: Auto, ", true, "estimated"},
		"":     {"", true, "estimated"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			slow := newSlowProvider(t)
			files := manifest(t, slow.url, keys.Digest(plainKey))
			files["10-provider.yaml"] = strings.Replace(files["10-provider.yaml"], "auth:", test.field+"auth:", 1)
			p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
			ctx, leave := context.WithCancel(t.Context())
			res := p.open(ctx, t)
			leave()
			if !test.ends {
				// The receipt of a call that goes on is not there yet.
				if status, got := p.ask(t, "/v1/usage/"+res.Header.Get("X-Layers-Request-Id")); status != http.StatusNotFound {
					t.Errorf("the call was ended: %d %s", status, got)
				}
				close(slow.goOn)
			}
			receipt := p.receipt(t, res.Header.Get("X-Layers-Request-Id"))
			if !strings.Contains(receipt, `"evidence":"`+test.evidence+`"`) {
				t.Errorf("receipt %s", receipt)
			}
			input, cached, output := used(1)
			reported := fmt.Sprintf(`"tokens":{"input":%d,"cache_read":%d,"cache_write":0,"output":%d,`, input-cached, cached, output)
			if strings.Contains(receipt, reported) == test.ends {
				t.Errorf("receipt %s, usage as reported: %v", receipt, !test.ends)
			}
			if test.ends {
				select {
				case <-slow.left:
				case <-time.After(10 * time.Second):
					t.Error("the provider's call goes on")
				}
			} else if len(slow.left) > 0 {
				t.Error("the provider's call was ended")
			}
		})
	}
}

// receipt polls for the receipt of a request.
func (p *process) receipt(t *testing.T, id string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		status, got := p.ask(t, "/v1/usage/"+id)
		if status == http.StatusOK {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("no receipt of %q: %d %s", id, status, got)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// TestProviderIsFull: a provider with maxConcurrentRequests takes no more calls at once; the next goes to another backend,
// and without one is answered 503 with Retry-After.
func TestProviderIsFull(t *testing.T) {
	full := func(t *testing.T, limit, second string) (*process, *slowProvider) {
		slow := newSlowProvider(t)
		files := manifest(t, slow.url, keys.Digest(plainKey))
		files["10-provider.yaml"] = strings.Replace(files["10-provider.yaml"], "auth:", limit+"auth:", 1)
		if second != "" {
			files["10-provider.yaml"] += "---\n" + api + "kind: Provider\nmetadata: {name: second}\nspec: {type: OpenAICompatible, baseURL: \"" + second + "\", auth: {secretRef: {name: local, key: api-key}}}\n"
			files["20-model.yaml"] = strings.Replace(files["20-model.yaml"], "backends: [", "backends: [{name: second, providerRef: {name: second}, model: upstream-model, priority: 1}, ", 1)
		}
		p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
		p.open(t.Context(), t)
		<-slow.asked
		return p, slow
	}
	t.Run("another backend", func(t *testing.T) {
		p, slow := full(t, "maxConcurrentRequests: 1, ", provider(t))
		defer close(slow.goOn)
		if status, _, body := p.post(t, plainKey, question); status != http.StatusOK || !strings.Contains(body, "chatcmpl-1") || len(slow.asked) > 0 {
			t.Errorf("%d %s; the full one was asked %d times more", status, body, len(slow.asked))
		}
	})
	t.Run("no other backend", func(t *testing.T) {
		p, slow := full(t, "maxConcurrentRequests: 1, ", "")
		status, header, body := p.post(t, plainKey, question)
		if after, err := strconv.Atoi(header.Get("Retry-After")); status != http.StatusServiceUnavailable || err != nil || after < 1 || len(slow.asked) > 0 {
			t.Errorf("%d, Retry-After %q: %s", status, header.Get("Retry-After"), body)
		}
		close(slow.goOn)
		// The place is given back a moment after the stream's end.
		for deadline := time.Now().Add(10 * time.Second); ; {
			status, _, _ := p.post(t, plainKey, with(`"stream":true`))
			if status == http.StatusOK {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the place is not given back: %d", status)
			}
			<-time.After(2 * time.Millisecond)
		}
	})
	t.Run("without a limit", func(t *testing.T) {
		p, slow := full(t, "", provider(t))
		defer close(slow.goOn)
		p.open(t.Context(), t)
		select {
		case <-slow.asked:
		case <-time.After(10 * time.Second):
			t.Error("the first was not asked again")
		}
	})
}
