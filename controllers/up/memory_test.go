package up

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
)

// childEnv makes the test binary run the job on a folder of manifests instead of the tests, so that its memory is its own.
const childEnv = "LAYERS_TEST_UP_MANIFESTS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		cmd := NewCommand()
		cmd.SetArgs([]string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--manifests", dir, "--data", filepath.Join(dir, "data"), "--log-level", "error"})
		cmd.SetOut(os.Stdout)
		if err := cmd.ExecuteContext(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // in the child this is main
		}
		return
	}
	m.Run()
}

// child is the job as a process of its own.
type child struct {
	api    string
	cmd    *exec.Cmd
	killed bool
}

// startChild runs the job on a folder until the end of the test, or until it is killed.
func startChild(t *testing.T, dir string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childEnv+"="+dir)
	c.cmd.Stderr = t.Output()
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.killed {
			return
		}
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("it ended badly: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready struct{ API string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	c.api = ready.API
	return c
}

// kill ends it at once, and returns when it is gone.
func (c *child) kill(t *testing.T) {
	t.Helper()
	c.killed = true
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // says that it was killed
}

// highWater is the largest resident size that a process has had, in KiB.
func highWater(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// letters are a body without end.
type letters struct{}

// Read implements io.Reader.
func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// TestMemory: two hundred bodies of 100 MiB at once, whose length nobody announced, do not make the process larger than
// 200 MB, over HTTP/1.1 or as many connections of HTTP/2, and each gets an error in the client's protocol.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	c := startChild(t, folder(t, manifest(t, provider(t), keys.Digest(plainKey))))
	api, pid := c.api, c.cmd.Process.Pid
	t.Logf("at rest: %d KiB", highWater(t, pid))
	one, two := &http.Protocols{}, &http.Protocols{}
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	for _, protocols := range []*http.Protocols{one, two, two} {
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { flood(t, api, &http.Transport{Protocols: protocols}) })
		}
		all.Wait()
		kib := highWater(t, pid)
		t.Logf("%v: at most %d KiB", protocols, kib)
		if kib*1024 > 200_000_000 {
			t.Errorf("the process took %d KiB", kib)
		}
	}
}

// flood sends a body of 100 MiB on a connection of its own, which must be refused.
func flood(t *testing.T, api string, transport *http.Transport) {
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api+"/v1/chat/completions", io.LimitReader(letters{}, 100<<20))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+plainKey)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if refused := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusRequestEntityTooLarge; err != nil || !refused || !bytes.HasPrefix(b, []byte(`{"error":{`)) {
		t.Errorf("%d %v %.200s", resp.StatusCode, err, b)
	}
}
