// Package stores runs the processes of a chaos run, redis-server, PostgreSQL and gateways, and breaks them.
package stores

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/layers-dev/layers/hack/testenv"
)

// Redis is a redis-server that loses nothing when it is killed, unless it is told to.
type Redis struct {
	// URL is redis://127.0.0.1:PORT; it stays the same.
	URL string

	bin, dir string
	port     int
	p        *testenv.Program
}

// StartRedis starts one in dir.
func StartRedis(ctx context.Context, dir string, log io.Writer) (*Redis, error) {
	bin, err := testenv.FindRedis(log)
	if err != nil {
		return nil, err
	}
	ports, err := testenv.FreePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Redis{URL: fmt.Sprintf("redis://127.0.0.1:%d", ports[0]), bin: bin, dir: dir, port: ports[0]}
	if err := os.MkdirAll(r.data(), 0o755); err != nil {
		return nil, fmt.Errorf("making Redis' folder: %w", err)
	}
	return r, r.Start(ctx)
}

func (r *Redis) data() string { return filepath.Join(r.dir, "data") }
func (r *Redis) kept() string { return filepath.Join(r.dir, "kept") }

// Start starts it with the data that are there, and waits until it answers. Each command is written to its file before it is
// answered, and the file outlives the process.
func (r *Redis) Start(ctx context.Context) (err error) {
	r.p, err = testenv.Launch(r.dir, nil, syscall.SIGKILL, r.bin, "--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--save", "",
		"--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0", "--maxmemory-policy", "noeviction", "--dir", r.data())
	if err != nil {
		return err
	}
	return r.p.Until(ctx, func(ctx context.Context) error { return r.is(ctx, r.p.PID()) })
}

// is nil when that process answers, its data read.
func (r *Redis) is(ctx context.Context, pid int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("INFO\r\nQUIT\r\n")); err != nil {
		return err
	}
	want := map[string]bool{fmt.Sprintf("process_id:%d", pid): true, "loading:0": true}
	for lines := bufio.NewScanner(conn); lines.Scan() && len(want) > 0; {
		delete(want, lines.Text())
	}
	if len(want) > 0 {
		return errors.New("it does not answer yet")
	}
	return nil
}

// Kill ends it as kill -9 does.
func (r *Redis) Kill() { r.p.Kill() }

// Empty takes its data away while it is not running.
func (r *Redis) Empty() error {
	return errors.Join(os.RemoveAll(r.data()), os.MkdirAll(r.data(), 0o755))
}

// Keep copies its data as they are now, for SetBack. It may be running: the end of the copy may be torn, which it cuts off.
func (r *Redis) Keep() error {
	next := r.kept() + ".next"
	err := errors.Join(os.RemoveAll(next), os.CopyFS(next, os.DirFS(r.data())))
	if err != nil {
		return fmt.Errorf("copying Redis' data: %w", err)
	}
	return errors.Join(os.RemoveAll(r.kept()), os.Rename(next, r.kept()))
}

// SetBack replaces its data by the copy that was kept last, while it is not running.
func (r *Redis) SetBack() error {
	if err := os.RemoveAll(r.data()); err != nil {
		return fmt.Errorf("taking Redis' data away: %w", err)
	}
	if err := os.CopyFS(r.data(), os.DirFS(r.kept())); err != nil {
		return fmt.Errorf("setting Redis back: %w", err)
	}
	return nil
}
