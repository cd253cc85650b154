// Command ensure makes sure that the stores which tests need, redis-server, PostgreSQL and PgBouncer, are installed, and says what it
// found or did. `make test` runs it before the tests, so that no test has to wait for a download.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/layers-dev/layers/hack/testenv"
)

func main() {
	if err := run(os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "ensure:", err)
		os.Exit(1)
	}
}

// run finds or installs each store that no environment variable names a running server of.
func run(out, log io.Writer) error {
	for _, s := range []struct {
		env  string
		find func(io.Writer) (string, error)
	}{
		{testenv.EnvRedisURL, testenv.FindRedis},
		{testenv.EnvPostgresURL, testenv.FindPostgres},
		{"", testenv.FindPgBouncer}, // always a private one, before whichever PostgreSQL
	} {
		if s.env != "" && os.Getenv(s.env) != "" {
			fmt.Fprintf(out, "testenv: the server that %s names\n", s.env)
			continue
		}
		path, err := s.find(log)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "testenv: %s\n", path)
	}
	return nil
}
