package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/hack/testenv"
)

// startRedis starts a redis-server on a free port, without persistence, and answers its URL.
func startRedis(ctx context.Context) (url string, stop func(), err error) {
	bin, err := testenv.FindRedis(os.Stderr)
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("looking for a free port: %w", err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	dir, err := os.MkdirTemp("", "layers-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder: %w", err)
	}
	cmd := exec.CommandContext(ctx, bin, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting redis-server: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		os.RemoveAll(dir)
	}
	url = "redis://127.0.0.1:" + port
	for range 500 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return url, stop, nil
		}
		if _, gone := os.FindProcess(cmd.Process.Pid); gone != nil {
			break
		}
		wait(ctx)
	}
	stop()
	return "", nil, fmt.Errorf("redis-server does not answer: %w", err)
}

// newClient is a plain driver, as the gateway's.
func newClient(url string) (rueidis.Client, error) {
	opt, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("parsing the URL: %w", err)
	}
	opt.DisableCache = true
	return rueidis.NewClient(opt)
}
