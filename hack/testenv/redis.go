package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/rueidis"
)

// RedisProc is a private redis-server.
type RedisProc struct {
	// URL is redis://127.0.0.1:PORT; it stays the same over Restart.
	URL string

	tb   testing.TB
	bin  string
	port int
	proc *proc
}

// Redis answers the redis:// URL of an empty Redis that nobody else uses; it is gone when the test ends.
func Redis(tb testing.TB) string {
	tb.Helper()
	if u := os.Getenv(EnvRedisURL); u != "" {
		return claimRedis(tb, u)
	}
	return RedisServer(tb).URL
}

// RedisServer starts a private, empty redis-server without persistence, for tests that kill it. It is gone when the test ends.
func RedisServer(tb testing.TB) *RedisProc {
	tb.Helper()
	bin, err := FindRedis(os.Stderr)
	if err != nil {
		tb.Fatal(err)
	}
	r := &RedisProc{tb: tb, bin: bin}
	err = onFreePort(func(port int) error {
		r.port, r.URL = port, fmt.Sprintf("redis://127.0.0.1:%d", port)
		return r.start(tb.Context())
	})
	if err != nil {
		tb.Fatalf("starting redis-server: %v", err)
	}
	tb.Cleanup(r.Kill)
	return r
}

// Kill ends the server at once, as kill -9 does, and returns when it is gone. All its data are lost.
func (r *RedisProc) Kill() {
	r.proc.kill()
	_ = r.proc.leash.Close() // the watchdog removes the directory
}

// Restart starts the server again, empty, on the port that it had; it fails the test if that cannot be done.
func (r *RedisProc) Restart() {
	r.tb.Helper()
	r.Kill()
	if err := r.start(r.tb.Context()); err != nil {
		r.tb.Fatalf("restarting redis-server: %v", err)
	}
}

func (r *RedisProc) start(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "layers-redis-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	r.proc, err = start(dir, nil, syscall.SIGKILL, r.bin, "--bind", "127.0.0.1", "--port", strconv.Itoa(r.port),
		"--save", "", "--appendonly", "no", "--dir", dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	pid := r.proc.cmd.Process.Pid
	err = poll(ctx, r.proc.gone, func(ctx context.Context) error { return isRedis(ctx, r.port, pid) })
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, r.proc.tail())
		r.Kill()
	}
	return err
}

// isRedis is nil when the process pid answers on the port (another server may have taken it).
func isRedis(ctx context.Context, port, pid int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("INFO server\r\nQUIT\r\n")); err != nil {
		return err
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == fmt.Sprintf("process_id:%d", pid) {
			return nil
		}
	}
	return errors.New("another process answers on the port")
}

// claimRedis takes one of the databases 1 to 15 of a running server for the length of the test and empties it.
// Database 0 holds the claims.
func claimRedis(tb testing.TB, url string) string {
	tb.Helper()
	opt, err := rueidis.ParseURL(url)
	if err != nil {
		tb.Fatalf("reading %s: not a Redis URL", EnvRedisURL)
	}
	opt.DisableCache, opt.SelectDB = true, 0
	claims, err := rueidis.NewClient(opt)
	if err != nil {
		tb.Fatalf("connecting to %s: %v", EnvRedisURL, err)
	}
	tb.Cleanup(claims.Close)
	for n := 1; n <= 15; n++ {
		key := fmt.Sprintf("layers-testenv:%d", n)
		if claims.Do(tb.Context(), claims.B().Set().Key(key).Value("claimed").Nx().ExSeconds(3600).Build()).Error() != nil {
			continue // taken
		}
		tb.Cleanup(func() {
			_ = claims.Do(context.Background(), claims.B().Del().Key(key).Build()).Error() // else it expires
		})
		opt.SelectDB = n
		db, err := rueidis.NewClient(opt)
		if err != nil {
			tb.Fatalf("connecting to database %d of %s: %v", n, EnvRedisURL, err)
		}
		defer db.Close()
		if err := db.Do(tb.Context(), db.B().Flushdb().Build()).Error(); err != nil {
			tb.Fatalf("emptying database %d of %s: %v", n, EnvRedisURL, err)
		}
		return withDatabase(url, strconv.Itoa(n))
	}
	tb.Fatalf("all databases of %s are taken", EnvRedisURL)
	return ""
}

// withDatabase replaces the path of a URL, keeping its query.
func withDatabase(url, name string) string {
	base, query, hasQuery := strings.Cut(url, "?")
	scheme, rest, _ := strings.Cut(base, "://")
	host, _, _ := strings.Cut(rest, "/")
	base = scheme + "://" + host + "/" + name
	if hasQuery {
		return base + "?" + query
	}
	return base
}
