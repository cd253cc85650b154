package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// server is the URL of the test process's own PostgreSQL, started by the first test that asks.
var server = sync.OnceValues(func() (string, error) {
	bin, err := FindPostgres(os.Stderr)
	if err != nil {
		return "", err
	}
	return startPostgres(context.Background(), bin)
})

// Postgres answers the postgres:// URL of a fresh, empty database on a PostgreSQL server that this test process shares;
// the database is dropped when the test ends, the server ends with the process.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return database(tb, serverURL(tb), "template1")
}

func serverURL(tb testing.TB) string {
	tb.Helper()
	if url := os.Getenv(EnvPostgresURL); url != "" {
		return url
	}
	url, err := server()
	if err != nil {
		tb.Fatalf("starting PostgreSQL: %v", err)
	}
	return url
}

// database makes a copy of a database that nobody is connected to; it is dropped when the test ends.
func database(tb testing.TB, url, of string) string {
	tb.Helper()
	name := "layers_" + strings.ToLower(rand.Text())
	if err := admin(tb.Context(), url, "CREATE DATABASE "+name+" TEMPLATE "+of); err != nil {
		tb.Fatalf("creating a database: %v", err)
	}
	tb.Cleanup(func() {
		if err := admin(context.Background(), url, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("dropping the database: %v", err)
		}
	})
	return withDatabase(url, name)
}

// filled are the databases of this process's own server that tests begin with copies of.
var filled = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

// PostgresFilled is Postgres, but the database has what fill wrote. That is done once for each name and then copied, which takes a
// fraction of the time of a migration; fill leaves no connection behind. On a server that is not ours it is done each time.
func PostgresFilled(tb testing.TB, name string, fill func(url string) error) string {
	tb.Helper()
	url := serverURL(tb)
	if os.Getenv(EnvPostgresURL) != "" {
		fresh := Postgres(tb)
		if err := fill(fresh); err != nil {
			tb.Fatalf("filling a database: %v", err)
		}
		return fresh
	}
	filled.Lock()
	defer filled.Unlock()
	if !filled.names[name] {
		if err := admin(tb.Context(), url, "CREATE DATABASE "+name); err != nil {
			tb.Fatalf("creating the database %s: %v", name, err)
		}
		if err := fill(withDatabase(url, name)); err != nil {
			tb.Fatalf("filling the database %s: %v", name, err)
		}
		filled.names[name] = true
	}
	return database(tb, url, name)
}

// admin runs one statement on a connection of its own.
func admin(ctx context.Context, url, statement string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// startPostgres makes a cluster in a new folder and serves it until this process ends.
func startPostgres(ctx context.Context, bin string) (string, error) {
	dir, err := os.MkdirTemp("", "layers-postgres-")
	if err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	as, err := unprivileged()
	if err == nil {
		err = initdb(ctx, bin, dir, as)
	}
	var url string
	if err == nil {
		err = onFreePort(func(port int) error {
			url = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
			return servePostgres(ctx, bin, dir, as, port, url)
		})
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return url, nil
}

// initdb makes the cluster dir/data.
func initdb(ctx context.Context, bin, dir string, as *syscall.Credential) error {
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return fmt.Errorf("giving the folder to the server's user: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", filepath.Join(dir, "data"),
		"--auth", "trust", "--username", "postgres", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w\n%s", err, out)
	}
	return nil
}

// servePostgres starts the server on a port and waits until it answers.
func servePostgres(ctx context.Context, bin, dir string, as *syscall.Credential, port int, url string) error {
	data := filepath.Join(dir, "data")
	p, err := start(dir, as, syscall.SIGQUIT, filepath.Join(bin, "postgres"), "-D", data,
		"-h", "127.0.0.1", "-p", strconv.Itoa(port), "-c", "unix_socket_directories=", "-c", "max_connections=300",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	if err != nil {
		return err
	}
	err = poll(ctx, p.gone, func(ctx context.Context) error { return isPostgres(ctx, url, data) })
	if err != nil {
		p.kill()
		return fmt.Errorf("%w\n%s", err, p.tail())
	}
	return nil
}

// isPostgres is nil when the server of that cluster answers (another server may have taken the port).
func isPostgres(ctx context.Context, url, data string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var has string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&has); err != nil {
		return err
	}
	if has != data {
		return errors.New("another server answers on the port")
	}
	return nil
}

// unprivileged answers whom to run the server as: PostgreSQL refuses to run as root. Nil: as we are.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}
