package up

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a Run inside the test.
type process struct {
	place
	stderr *safeBuffer
	cancel context.CancelFunc
	done   chan error
}

// safeBuffer is written by the process and read by the test.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start runs `layers up` on free ports and waits for its ready line. It is stopped at the end of the test.
func start(t *testing.T, o Options) *process {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	o.AdminListen = "127.0.0.1:0"
	if o.getenv == nil {
		o.getenv = nothingSet
	}
	r, w := io.Pipe()
	p := &process{stderr: &safeBuffer{}, done: make(chan error, 1)}
	o.Stdout, o.Stderr = w, p.stderr
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		p.done <- Run(ctx, o)
		_ = w.Close()
	}()
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no ready line: %v, %v\n%s", err, <-p.done, p.stderr)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("ready line %q: %v", line, err)
	}
	p.API, _ = got["api"].(string)
	p.Admin, _ = got["admin"].(string)
	if len(got) != 4 || got["ready"] != true || got["console"] != "" || p.API == "" || p.Admin == "" {
		t.Fatalf("ready line %q", line)
	}
	rest := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(r)
		rest <- b
	}()
	t.Cleanup(func() {
		p.stop(t)
		if b := <-rest; len(b) > 0 {
			t.Errorf("stdout has more than the ready line: %q", b)
		}
	})
	return p
}

// stop ends the process and holds it to ending well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	select {
	case err := <-p.done:
		p.done <- nil // for a second stop
		if err != nil {
			t.Errorf("it ended with %v\n%s", err, p.stderr)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end\n%s", p.stderr)
	}
}

// post sends a chat request and answers status, headers and body.
func (p *process) post(t *testing.T, key, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.API+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	return do(t, req)
}

func (p *process) get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, _, body := do(t, req)
	return status, body
}

func do(t *testing.T, req *http.Request) (int, http.Header, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

const hello = `{"model":"demo","messages":[{"role":"user","content":"Hello"}]}`

func TestDemo(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_STATE_HOME", "")
	p := start(t, Options{})
	status, header, body := p.post(t, "lyr_live_anything", hello)
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.Choices) != 1 || answer.Choices[0].Message.Content == "" {
		t.Errorf("%d %s", status, body)
	}
	if header.Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
	if status, _, body := p.post(t, "lyr_live_anything", strings.Replace(hello, "{", `{"stream":true,`, 1)); status != http.StatusOK || !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("stream: %d %s", status, body)
	}
	if status, _, _ := p.post(t, "sk-other", hello); status != http.StatusUnauthorized {
		t.Errorf("another vendor's key: %d", status)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, body := p.get(t, p.Admin+path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, want := range []string{"DEMO MODE", "nothing is charged", p.API + "/v1/chat/completions", `"stream":true`, "--manifests"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("the banner does not say %q:\n%s", want, p.stderr)
		}
	}
	p.stop(t)
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("demo mode wrote to disk: %v, %v", left, err)
	}
}

func TestRefusesToStart(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	const free = "127.0.0.1:0"
	manifest := map[string]string{"a.yaml": api + "kind: Provider\nmetadata: {name: p}\nspec: {type: Demo}\n"}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		o    Options
		want string
	}{
		"a taken port":       {Options{Listen: busy.Addr().String(), AdminListen: free}, "address already in use"},
		"a taken admin port": {Options{Listen: free, AdminListen: busy.Addr().String()}, "--admin-listen"},
		"no folder":          {Options{Manifests: "/nowhere/at/all"}, "no such file or directory"},
		"an empty folder":    {Options{Manifests: t.TempDir()}, "no objects in"},
		"a log format":       {Options{LogFormat: "xml"}, "want text or json"},
		"a log level":        {Options{LogLevel: "loud"}, "want debug, info, warn or error"},
		"no Redis there":     {Options{Listen: free, AdminListen: free, Redis: "redis://" + deadAddress(t)}, "opening Redis"},
		"no place for data":  {Options{Listen: free, AdminListen: free, Manifests: folder(t, manifest), Data: filepath.Join(blocked, "data")}, "making the data folder"},
		"no such ledger":     {Options{Listen: free, AdminListen: free, Manifests: folder(t, manifest), Data: t.TempDir(), Ledger: "mysql://x"}, "ledger"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout bytes.Buffer
			tc.o.Stdout, tc.o.Stderr = &stdout, io.Discard
			err := Run(t.Context(), tc.o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to contain %q", err, tc.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout: %s", stdout.String())
			}
		})
	}
}

// deadAddress is an address where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestJSONLogs(t *testing.T) {
	p := start(t, Options{LogFormat: "json", Data: "unused"})
	p.stop(t)
	if !strings.Contains(p.stderr.String(), "not used in demo mode") {
		t.Errorf("the log does not say that --data does nothing: %s", p.stderr)
	}
	for line := range strings.Lines(p.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
	if !strings.Contains(p.stderr.String(), p.API) {
		t.Errorf("the log does not say where: %s", p.stderr)
	}
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{"0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", "10.0.0.1:80": "10.0.0.1:80"} {
		if got := reachable(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestDefaultData(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for xdg, want := range map[string]string{"/state": "/state/layers", "": "/home/me/.local/state/layers", "relative": "/home/me/.local/state/layers"} {
		t.Setenv("XDG_STATE_HOME", xdg)
		if got, err := DefaultData(); err != nil || got != want {
			t.Errorf("XDG_STATE_HOME=%q: %q, %v", xdg, got, err)
		}
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_STATE_HOME", "")
	if _, err := DefaultData(); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("no home: %v", err)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/a/b-c.d": "/a/b-c.d", "/a b": "'/a b'", "/it's": `'/it'\''s'`} {
		if got := quote(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
