package testenv_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/hack/testenv"
)

// TestServersAreOfTheirVersion: a server says that it is of the version that was chosen; where none was, that it is none that
// is older than the oldest of the releases.
func TestServersAreOfTheirVersion(t *testing.T) {
	t.Run("redis", func(t *testing.T) { ofItsVersion(t, testenv.RedisReleases(), redisVersion) })
	t.Run("postgres", func(t *testing.T) { ofItsVersion(t, testenv.PostgresReleases(), postgresVersion) })
}

func ofItsVersion(t *testing.T, releases []testenv.Release, ask func(t *testing.T) string) {
	t.Helper()
	want, err := testenv.Chosen(releases)
	if err != nil {
		t.Fatal(err)
	}
	said := ask(t)
	t.Logf("it is %s", said)
	if want != nil && said != want.String() {
		t.Errorf("it is %s, %s=%s asks for %s", said, want.Env, want.Name, want)
	}
	if want == nil && number(t, said) < number(t, releases[0].String()) {
		t.Errorf("it is %s, which is older than %s", said, releases[0])
	}
}

// redisVersion is what a Redis or a Valkey says of itself; a Valkey says of which Redis it speaks as well.
func redisVersion(t *testing.T) string {
	t.Helper()
	c := redisClient(t, testenv.Redis(t))
	info, err := c.Do(t.Context(), c.B().Info().Section("server").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		said[name] = value
	}
	if v := said["valkey_version"]; v != "" {
		return "Valkey " + v
	}
	return "Redis " + said["redis_version"]
}

func postgresVersion(t *testing.T) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var text string
	if err := conn.QueryRow(t.Context(), "SHOW server_version").Scan(&text); err != nil {
		t.Fatal(err)
	}
	text, _, _ = strings.Cut(text, " ") // what the builder adds
	return "PostgreSQL " + text
}

// number is 602 for Redis 6.2.14: major and minor.
func number(t *testing.T, said string) (n int) {
	t.Helper()
	_, version, _ := strings.Cut(said, " ")
	for _, part := range strings.SplitN(version, ".", 3)[:2] {
		digits, err := strconv.Atoi(part)
		if err != nil {
			t.Fatalf("%q is no version: %v", said, err)
		}
		n = 100*n + digits
	}
	return n
}

func TestChosenNamesWhatThereIs(t *testing.T) {
	t.Setenv(testenv.EnvRedisVersion, "5.0")
	for name, find := range map[string]func() error{
		"chosen": func() error { _, err := testenv.Chosen(testenv.RedisReleases()); return err },
		"find":   func() error { _, err := testenv.FindRedis(os.Stderr); return err },
	} {
		if err := find(); err == nil || !strings.Contains(err.Error(), "LAYERS_TEST_REDIS_VERSION=5.0") || !strings.Contains(err.Error(), "6.2, ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
