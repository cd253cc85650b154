package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/layers-dev/layers/hack/testenv"
)

// Build makes the program out of the module's folder root and answers its path.
func Build(ctx context.Context, root, dir string) (string, error) {
	bin := filepath.Join(dir, "layers")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, ".")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return bin, nil
}

// Files are what all gateways read.
type Files struct {
	// Bin is the program. Snapshot is the folder of the snapshot; Redis and Ledger are files with URLs.
	Bin, Snapshot, Redis, Ledger string
}

// Life is one start of a gateway.
type Life struct {
	From, To time.Time // To is zero while it runs
	// Killed says that it ended by force, LogLost that its write-ahead log went with it.
	Killed, LogLost bool
	// Stopped are the times in which it was stopped, by their beginnings and ends.
	Stopped [][2]time.Time
}

// Ran is how long it ran between two instants.
func (l Life) Ran(from, to time.Time) time.Duration {
	d := to.Sub(from)
	for _, s := range l.Stopped {
		begin, end := s[0], s[1]
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if end.After(begin) {
			d -= end.Sub(begin)
		}
	}
	return d
}

// Gateway is one replica.
type Gateway struct {
	// N is its number, UID its pod's; API and Admin are host:port.
	N          int
	UID        string
	API, Admin string

	files Files
	dir   string
	p     *testenv.Program

	mu    sync.Mutex
	lives []Life
}

// Lease is how long a gateway is taken to live after it was last heard.
const Lease = 3 * time.Second

// NewGateway prepares a replica in dir; Start runs it.
func NewGateway(n int, dir string, f Files) (*Gateway, error) {
	ports, err := testenv.FreePorts(2)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		N: n, UID: fmt.Sprintf("pod-%d", n), API: fmt.Sprintf("127.0.0.1:%d", ports[0]), Admin: fmt.Sprintf("127.0.0.1:%d", ports[1]), files: f, dir: dir,
	}
	return g, os.MkdirAll(g.wal(), 0o755)
}

func (g *Gateway) wal() string { return filepath.Join(g.dir, "wal") }

// Log is the file that has its log.
func (g *Gateway) Log() string { return filepath.Join(g.dir, "log") }

// Start starts it and waits until it is ready.
func (g *Gateway) Start(ctx context.Context) (err error) {
	g.p, err = testenv.Launch(g.dir, nil, syscall.SIGKILL, g.files.Bin, "gateway", "--listen", g.API, "--admin-listen", g.Admin, "--ack-listen", "",
		"--snapshot-dir", g.files.Snapshot, "--redis-url-file", g.files.Redis, "--ledger-url-file", g.files.Ledger, "--drain-delay", "0s", "--drain-timeout", "30s",
		"--wal-dir", g.wal(), "--pod-uid", g.UID, "--owner-lease", Lease.String(), "--sync-every", "3s")
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.lives = append(g.lives, Life{From: time.Now()})
	g.mu.Unlock()
	return g.p.Until(ctx, func(ctx context.Context) error {
		status, _, err := g.get(ctx, "/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("not ready: %d", status)
		}
		return err
	})
}

// Kill ends it as kill -9 does; loseLog takes its write-ahead log away, too.
func (g *Gateway) Kill(loseLog bool) error {
	g.p.Kill()
	g.mu.Lock()
	life := &g.lives[len(g.lives)-1]
	life.To, life.Killed, life.LogLost = time.Now(), true, loseLog
	g.mu.Unlock()
	if !loseLog {
		return nil
	}
	return errors.Join(os.RemoveAll(g.wal()), os.MkdirAll(g.wal(), 0o755))
}

// Stop sends SIGSTOP; goOn undoes it.
func (g *Gateway) Stop() (goOn func()) {
	from := time.Now()
	g.p.Signal(syscall.SIGSTOP)
	return func() {
		g.p.Signal(syscall.SIGCONT)
		g.mu.Lock()
		defer g.mu.Unlock()
		life := &g.lives[len(g.lives)-1]
		life.Stopped = append(life.Stopped, [2]time.Time{from, time.Now()})
	}
}

// Lives are its starts so far.
func (g *Gateway) Lives() []Life {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Life{}, g.lives...)
}

// get reads a page of the admin port.
func (g *Gateway) get(ctx context.Context, path string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// Open is what the gateway says that it has not brought to its end, from its metrics; empty: nothing.
func (g *Gateway) Open(ctx context.Context) (string, error) {
	_, body, err := g.get(ctx, "/metrics")
	if err != nil {
		return "", fmt.Errorf("asking gateway %d: %w", g.N, err)
	}
	var open []string
	for _, name := range []string{"layers_unconfirmed_settlements", "layers_settle_queue", "layers_settle_unconfirmed", "layers_wal_records", "layers_requests_in_flight"} {
		if v, ok := Metric(body, name); ok && v != 0 {
			open = append(open, fmt.Sprintf("gateway %d: %s %v", g.N, name, v))
		}
	}
	return strings.Join(open, "; "), nil
}

// Metric finds a metric without labels, or the sum of one over its labels.
func Metric(body, name string) (sum float64, there bool) {
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err == nil {
			sum, there = sum+v, true
		}
	}
	return sum, there
}
