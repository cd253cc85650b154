package stores

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ask sends commands to a Redis and answers all that it says until it hangs up.
func ask(t *testing.T, r *Redis, commands string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "redis://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(commands + "\r\nQUIT\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var out strings.Builder
	for buf := make([]byte, 1024); ; {
		n, err := conn.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.String()
		}
	}
}

func TestRedisComesBackAsItIsTold(t *testing.T) {
	r, err := StartRedis(t.Context(), t.TempDir(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { r.Kill() }()
	again := func(between func() error) {
		t.Helper()
		r.Kill()
		if err := between(); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	has := func(want string) {
		t.Helper()
		if got := ask(t, r, "GET k"); !strings.Contains(got, want) {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	ask(t, r, "SET k first")
	again(func() error { return nil })
	has("first")
	if err := r.Keep(); err != nil {
		t.Fatal(err)
	}
	ask(t, r, "SET k second")
	again(func() error { return nil })
	has("second")
	again(r.SetBack)
	has("first")
	again(r.Empty)
	has("$-1")
}

func TestPostgresKeepsWhatItCommitted(t *testing.T) {
	dir, err := os.MkdirTemp("", "layers-chaos-test-") // the server's user must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p, err := StartPostgres(t.Context(), dir, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Stop() }()
	exec := func(ctx context.Context, sql string) error {
		conn, err := pgx.Connect(ctx, p.URL)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql)
		return err
	}
	if err := exec(t.Context(), "CREATE TABLE x (n BIGINT); INSERT INTO x VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if err := exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("it is stopped and answers")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := exec(t.Context(), "INSERT INTO x SELECT 1/COUNT(*) FROM x"); err != nil {
		t.Errorf("its row is lost: %v", err)
	}
	pids := p.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := exec(ctx, "SELECT 1"); err == nil || len(pids) < 3 {
		t.Errorf("%d processes hang, and it answers: %v", len(pids), err)
	}
	p.Continue(pids)
	if err := exec(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
}

func TestMetric(t *testing.T) {
	const body = "# HELP x y\nlayers_a 3\nlayers_ab 5\nlayers_b{x=\"1\"} 2\nlayers_b{x=\"2\"} 4\n"
	for name, want := range map[string]float64{"layers_a": 3, "layers_b": 6} {
		if got, ok := Metric(body, name); !ok || got != want {
			t.Errorf("%s is %v, %v", name, got, ok)
		}
	}
	if _, ok := Metric(body, "layers_c"); ok {
		t.Error("a metric that is not there is")
	}
}

func TestRan(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	l := Life{Stopped: [][2]time.Time{{at(10), at(20)}, {at(30), at(40)}}}
	for _, c := range [][3]int{{0, 5, 5}, {0, 15, 10}, {12, 18, 0}, {15, 25, 5}, {0, 50, 30}, {41, 42, 1}} {
		if got := l.Ran(at(c[0]), at(c[1])); got != time.Duration(c[2])*time.Second {
			t.Errorf("between %d and %d it ran for %v, want %d s", c[0], c[1], got, c[2])
		}
	}
}
