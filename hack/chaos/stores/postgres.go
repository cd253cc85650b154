package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/hack/testenv"
)

// Postgres is a PostgreSQL server. What it has committed outlives its process; a lost machine is not what is tested, so it
// does not wait for the disk.
type Postgres struct {
	// URL is of the database postgres; it stays the same.
	URL string

	bin, dir string
	as       *syscall.Credential
	port     int
	p        *testenv.Program
}

// StartPostgres makes a cluster in dir, which must be empty, and serves it.
func StartPostgres(ctx context.Context, dir string, log io.Writer) (*Postgres, error) {
	bin, as, err := testenv.Cluster(ctx, dir, log)
	if err != nil {
		return nil, err
	}
	ports, err := testenv.FreePorts(1)
	if err != nil {
		return nil, err
	}
	p := &Postgres{URL: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", ports[0]), bin: bin, dir: dir, as: as, port: ports[0]}
	return p, p.Start(ctx)
}

// Start starts the server again and waits until it takes statements.
func (p *Postgres) Start(ctx context.Context) (err error) {
	p.p, err = testenv.Launch(p.dir, p.as, syscall.SIGQUIT, filepath.Join(p.bin, "postgres"), "-D", filepath.Join(p.dir, "data"),
		"-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-c", "unix_socket_directories=", "-c", "max_connections=300",
		"-c", "fsync=off", "-c", "synchronous_commit=on", "-c", "full_page_writes=off", "-c", "restart_after_crash=off")
	if err != nil {
		return err
	}
	return p.p.Until(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.URL)
		if err != nil {
			return err
		}
		return errors.Join(conn.Ping(ctx), conn.Close(ctx))
	})
}

// Stop ends it as `pg_ctl stop -m immediate` does: without a shutdown, so that it recovers when it starts.
func (p *Postgres) Stop() {
	p.p.Signal(syscall.SIGQUIT)
	p.p.Ended()
}

// Hang stops all its processes, which go on when Continue says so; it answers their ids.
func (p *Postgres) Hang() []int {
	p.p.Signal(syscall.SIGSTOP) // first: it makes no more of them
	pids := append([]int{p.p.PID()}, children(p.p.PID())...)
	for _, pid := range pids[1:] {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // gone is as good
	}
	return pids
}

// Continue has them go on.
func (p *Postgres) Continue(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT) // gone is as good
	}
}

// children are the ids of the processes whose parent is pid.
func children(pid int) (found []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is constant
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT ...; a name may have spaces and brackets.
		_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
		words := strings.Fields(rest)
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err == nil && len(words) > 1 && words[1] == strconv.Itoa(pid) {
			found = append(found, id)
		}
	}
	return found
}
