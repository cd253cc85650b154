package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// bouncerPool is how many connections to the server PgBouncer has for a database: fewer than a client opens, so that two
// transactions of one client really meet on different ones.
const bouncerPool = 3

// FindPgBouncer answers the path of pgbouncer, installing it if need be (see the package); log hears what is done.
func FindPgBouncer(log io.Writer) (string, error) {
	return findOrInstall(log, "pgbouncer", func() string {
		if path, err := exec.LookPath("pgbouncer"); err == nil {
			return path
		}
		const debian = "/usr/sbin/pgbouncer" // not in everybody's PATH
		if _, err := os.Stat(debian); err != nil {
			return ""
		}
		return debian
	})
}

// PgBouncer starts a private PgBouncer in transaction mode before the database of a postgres:// URL with a port, and
// answers the URL of that database through it. It is gone when the test ends.
func PgBouncer(tb testing.TB, postgresURL string) string {
	tb.Helper()
	bin, err := FindPgBouncer(os.Stderr)
	if err != nil {
		tb.Fatal(err)
	}
	target, err := url.Parse(postgresURL)
	if err != nil {
		tb.Fatal("starting PgBouncer: the URL of PostgreSQL is not understood") // the error would quote a password
	}
	var p *proc
	err = onFreePort(func(port int) error {
		through := *target
		through.Host = "127.0.0.1:" + strconv.Itoa(port)
		p, err = startBouncer(tb.Context(), bin, target, &through)
		postgresURL = through.String()
		return err
	})
	if err != nil {
		tb.Fatalf("starting PgBouncer: %v", err)
	}
	tb.Cleanup(func() {
		p.kill()
		_ = p.leash.Close() // the watchdog removes the directory
	})
	return postgresURL
}

// startBouncer serves target's database at through and waits until it answers.
func startBouncer(ctx context.Context, bin string, target, through *url.URL) (*proc, error) {
	as, err := unprivileged() // it refuses to run as root, as PostgreSQL does
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "layers-pgbouncer-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	p, err := runBouncer(ctx, bin, dir, as, target, through)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func runBouncer(ctx context.Context, bin, dir string, as *syscall.Credential, target, through *url.URL) (*proc, error) {
	config, err := writeBouncer(dir, as, target, through)
	if err != nil {
		return nil, err
	}
	p, err := start(dir, as, syscall.SIGKILL, bin, config)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, p.gone, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, through.String())
		if err != nil {
			return err
		}
		return errors.Join(conn.Ping(ctx), conn.Close(ctx))
	})
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("%w\n%s", err, p.tail())
	}
	return p, nil
}

// writeBouncer writes its configuration and the list of its one user, whose password is for the server: clients need none.
func writeBouncer(dir string, as *syscall.Credential, target, through *url.URL) (string, error) {
	database := strings.TrimPrefix(target.Path, "/")
	config, users := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users.txt")
	password, _ := target.User.Password()
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	files := map[string]string{
		config: fmt.Sprintf("[databases]\n%s = host=%s port=%s dbname=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\n"+
			"unix_socket_dir =\nauth_type = trust\nauth_file = %s\npool_mode = transaction\ndefault_pool_size = %d\nmax_client_conn = 500\n",
			database, target.Hostname(), target.Port(), database, through.Port(), users, bouncerPool),
		users: quote(target.User.Username()) + " " + quote(password) + "\n",
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("configuring pgbouncer: %w", err)
		}
	}
	if as == nil {
		return config, nil
	}
	for _, path := range []string{dir, config, users} {
		if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
			return "", fmt.Errorf("giving the folder to pgbouncer's user: %w", err)
		}
	}
	return config, nil
}
