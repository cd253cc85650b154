package gateway

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
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

// childEnv makes the test binary run the job instead of the tests, so that its memory is its own.
const childEnv = "LAYERS_TEST_GATEWAY_OPTIONS"

// childOptions are what a child is told.
type childOptions struct {
	SnapshotDir, RedisURLFile, LedgerURLFile, WALDir string
	// As in Options.
	OwnerLease, SyncEvery, RedisTimeout time.Duration
}

// child runs the job until SIGTERM and says on stdout where it listens.
func child(text string) int {
	var in childOptions
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := Options{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", SnapshotDir: in.SnapshotDir, RedisURLFile: in.RedisURLFile, LedgerURLFile: in.LedgerURLFile,
		WALDir: in.WALDir, PodUID: "child", OwnerLease: in.OwnerLease, SyncEvery: in.SyncEvery, RedisTimeout: in.RedisTimeout,
		LogFormat: "text", LogLevel: "error", Stderr: os.Stderr, Ready: func(b Bound) { fmt.Println(b.API) },
	}
	o.Drain.Timeout = 5 * time.Second
	if err := Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is the job as a process of its own.
type process struct {
	api    string
	cmd    *exec.Cmd
	killed bool
}

// startChild runs it until the end of the test, or until it is killed.
func startChild(t *testing.T, o childOptions) *process {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stderr = t.Output()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.killed {
			return
		}
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the gateway ended badly: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	p.api = strings.TrimSpace(line)
	return p
}

// kill ends it at once, and returns when it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // says that it was killed
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

const mib = 1 << 20

// bulk is a request of size bytes that is JSON to its end.
func bulk(size int64) io.Reader {
	const begin, end = `{"model":"test/model","max_tokens":10,"messages":[{"role":"user","content":"`, `"}]}`
	text := io.LimitReader(letters{}, size-int64(len(begin)+len(end)))
	return io.MultiReader(strings.NewReader(begin), text, strings.NewReader(end))
}

// letters are without end.
type letters struct{}

// Read implements io.Reader.
func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// flood sends n bodies of size bytes at once, and answers how many got which status. Every refusal is an error in OpenAI's
// shape, and one of 503 says when to come back.
func flood(t *testing.T, api string, n int, size int64, announced bool) map[int]int {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[int]int{}
	for range n {
		all.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+api+"/v1/chat/completions", bulk(size))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+liveKey)
			if announced {
				r.ContentLength = size
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			b, err := io.ReadAll(resp.Body)
			mu.Lock()
			defer mu.Unlock()
			got[resp.StatusCode]++
			if resp.StatusCode == http.StatusOK {
				return
			}
			if err != nil || !bytes.HasPrefix(b, []byte(`{"error":{`)) || (resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "") {
				t.Errorf("%d %v %.200s %v", resp.StatusCode, err, b, resp.Header)
			}
		})
	}
	all.Wait()
	return got
}

// Two hundred bodies of 100 MiB at once, and then of sizes that are taken, never make the process larger than 200 MB.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "ledger.db")
	openLedger(t, url)
	s := config(snapshot.Live, snapshot.OpenAICompatible, provider(t).URL)
	s.Models[0].Price = &snapshot.Price{Version: "v1", InputPerMillion: 1, OutputPerMillion: 1}
	s.Tiers = []snapshot.Tier{{Name: "ns/large", MaxBodyBytes: 256 * mib}}
	s.DefaultTier = "ns/large"
	publish(t, dir, s)
	c := startChild(t, childOptions{
		SnapshotDir:   dir,
		RedisURLFile:  write(t, filepath.Join(dir, "redis"), []byte(testenv.Redis(t)+"\n")),
		LedgerURLFile: write(t, filepath.Join(dir, "ledger"), []byte(url+"\n")),
	})
	api, pid := c.api, c.cmd.Process.Pid
	defer http.DefaultClient.CloseIdleConnections()
	t.Logf("at rest: %d KiB", highWater(t, pid))
	for _, c := range []struct {
		size      int64
		announced bool
		want      map[int]bool
	}{
		{100 * mib, true, map[int]bool{413: true}},
		{100 * mib, false, map[int]bool{413: true, 503: true}},
		{16 * mib, true, map[int]bool{200: true, 503: true}},
		{mib, false, map[int]bool{200: true, 503: true}},
	} {
		begun := time.Now()
		got := flood(t, api, 200, c.size, c.announced)
		for status := range got {
			if !c.want[status] {
				t.Errorf("%d bytes: %v", c.size, got)
			}
		}
		kib := highWater(t, pid)
		t.Logf("%d bytes, announced %v: %v, %d KiB, %v", c.size, c.announced, got, kib, time.Since(begun))
		if kib*1024 > 200_000_000 {
			t.Fatalf("the process took %d KiB", kib)
		}
	}
	if got := flood(t, api, 1, 32*mib, true); got[http.StatusOK] != 1 {
		t.Errorf("the largest body alone: %v", got)
	}
	if kib := highWater(t, pid); kib*1024 > 200_000_000 {
		t.Errorf("the process took %d KiB", kib)
	}
}
