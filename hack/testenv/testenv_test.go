package testenv_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/layers-dev/layers/hack/testenv"
)

func redisClient(t *testing.T, url string) rueidis.Client {
	t.Helper()
	opt, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opt.DisableCache = true
	c, err := rueidis.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRedisIsEmptyAndPrivate(t *testing.T) {
	a, b := redisClient(t, testenv.Redis(t)), redisClient(t, testenv.Redis(t))
	if err := a.Do(t.Context(), a.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Do(t.Context(), b.B().Dbsize().Build()).AsInt64(); err != nil || n != 0 {
		t.Fatalf("the other Redis has %d keys, %v", n, err)
	}
}

// Packages that look for goroutines which outlive their tests share servers between the tests.
func TestServersAreNotTakenForLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	testenv.RedisServer(t)
	if err := goleak.Find(append(testenv.IgnoreServers(), before)...); err != nil {
		t.Error(err)
	}
}

func TestRedisKilledAndRestartedIsEmpty(t *testing.T) {
	r := testenv.RedisServer(t)
	a := redisClient(t, r.URL)
	if err := a.Do(t.Context(), a.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := a.Do(ctx, a.B().Ping().Build()).Error(); err == nil {
		t.Fatal("a killed Redis answered")
	}
	r.Restart()
	b := redisClient(t, r.URL)
	if n, err := b.Do(t.Context(), b.B().Dbsize().Build()).AsInt64(); err != nil || n != 0 {
		t.Fatalf("after the restart: %d keys, %v", n, err)
	}
}

func TestRedisFromEnvironment(t *testing.T) {
	r := testenv.RedisServer(t)
	t.Setenv(testenv.EnvRedisURL, r.URL)
	TestRedisIsEmptyAndPrivate(t)
}

func TestPostgresDatabasesAreFresh(t *testing.T) {
	first := testenv.Postgres(t)
	exec := func(url, sql string) error {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), sql)
		return err
	}
	if err := exec(first, "CREATE TABLE x (y BIGINT)"); err != nil {
		t.Fatal(err)
	}
	t.Setenv(testenv.EnvPostgresURL, first)
	second := testenv.Postgres(t)
	if first == second {
		t.Fatalf("the same database twice: %s", first)
	}
	if err := exec(second, "SELECT * FROM x"); err == nil {
		t.Fatal("the second database has the table of the first")
	}
}

// TestPgBouncerMultiplexes: transactions of one client run on several connections of the server, and no session state of
// one is promised to the next.
func TestPgBouncerMultiplexes(t *testing.T) {
	direct := testenv.Postgres(t)
	through := testenv.PgBouncer(t, direct)
	if through == direct {
		t.Fatal("the same URL")
	}
	connect := func(url string) *pgx.Conn {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	pid := func(q interface {
		QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	}) (pid int) {
		t.Helper()
		if err := q.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	a, b := connect(through), connect(through)
	tx, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := pid(tx)
	if other := pid(b); other == held {
		t.Error("two clients on one connection at the same time")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx, err = b.Begin(t.Context()) // takes the connection that was used last, a's
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if pid(tx) == held == (pid(a) == held) {
		t.Error("a connection belongs to one client")
	}
	if name := connect(direct); pid(name) == held {
		t.Error("the direct connection is one of the pool")
	}
}

// TestServersEndWithTheProcess starts this test binary as a child that starts servers and is killed, then waits until their
// folders, which the watchdog removes last, are gone.
func TestServersEndWithTheProcess(t *testing.T) {
	if os.Getenv("TESTENV_CHILD") != "" {
		testenv.Redis(t)
		testenv.PgBouncer(t, testenv.Postgres(t))
		os.Stdout.WriteString("serving\n")
		select {}
	}
	tmp, err := os.MkdirTemp("", "layers-testenv-") // the server's user must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestServersEndWithTheProcess$")
	child.Env = append(os.Environ(), "TESTENV_CHILD=1", "TMPDIR="+tmp, testenv.EnvRedisURL+"=", testenv.EnvPostgresURL+"=")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for buf := make([]byte, 4096); !strings.Contains(said.String(), "serving"); {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			t.Fatalf("the child ended: %s", said.String())
		}
	}
	if dirs, _ := filepath.Glob(filepath.Join(tmp, "layers-*")); len(dirs) != 3 {
		t.Fatalf("servers' folders: %v", dirs)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	for deadline := time.After(20 * time.Second); ; {
		dirs, _ := filepath.Glob(filepath.Join(tmp, "layers-*"))
		if len(dirs) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still there: %v", dirs)
		case <-time.Tick(50 * time.Millisecond):
		}
	}
}

func TestPostgresFilledOnceAndCopied(t *testing.T) {
	filled := 0
	fill := func(url string) error {
		filled++
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		_, err = conn.Exec(context.Background(), "CREATE TABLE things (n INT); INSERT INTO things VALUES (1)")
		return errors.Join(err, conn.Close(context.Background()))
	}
	for range 2 {
		conn, err := pgx.Connect(t.Context(), testenv.PostgresFilled(t, "things", fill))
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT sum(n) FROM things").Scan(&n); err != nil || n != 1 {
			t.Errorf("things: %d, %v", n, err)
		}
		if _, err := conn.Exec(t.Context(), "INSERT INTO things VALUES (1)"); err != nil { // the next copy has it not
			t.Error(err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if filled != 1 && os.Getenv(testenv.EnvPostgresURL) == "" {
		t.Errorf("it was filled %d times", filled)
	}
}
