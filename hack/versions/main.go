// Command versions runs the tests that a store of another version might break on pinned versions of Redis, Valkey and
// PostgreSQL: `make test-versions` on the oldest and the newest of each, `make test-versions VERSIONS=all` on all of them. The
// versions in VERSIONS (6.2 14) are another choice. Before each run it says which version comes; the first test of each run
// has the server say so too.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/layers-dev/layers/hack/testenv"
)

// suite is what is tested on one kind of server.
type suite struct {
	releases []testenv.Release
	// proof is the test of hack/testenv that asks the server for its version.
	proof string
	// packages are whose tests run, but for those that skip says: they do not use this server, or another run of them does.
	packages []string
	skip     string
}

func suites() []suite {
	return []suite{
		{
			testenv.RedisReleases(), "^TestServersAreOfTheirVersion$/^redis$",
			[]string{"./dataplane/admit", "./dataplane/admit/forecast", "./dataplane/keys"},
			`^TestProtocol|^TestEmbedded|.*/miniredis|.*/embedded|.*/.*/miniredis`,
		},
		{
			testenv.PostgresReleases(), "^TestServersAreOfTheirVersion$/^postgres$",
			[]string{"./dataplane/ledger", "./dataplane/ledger/internal/sqldb", "./dataplane/settle/upkeep"},
			`.*/sqlite|.*/pgbouncer|.*/.*/sqlite`,
		},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Fields(strings.Join(os.Args[1:], " ")), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "versions:", err)
		os.Exit(1)
	}
}

// run tests on every version that is chosen, whatever the ones before it have shown.
func run(ctx context.Context, choice []string, out, log io.Writer) error {
	todo, err := choose(suites(), choice)
	if err != nil {
		return err
	}
	var failed error
	for _, s := range todo {
		for _, r := range s.releases {
			if err := s.on(ctx, r, out, log); err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", r, err))
			}
		}
	}
	return failed
}

// choose leaves each suite the releases that were asked for: nothing, the oldest and the newest of each server; all; names.
func choose(all []suite, names []string) ([]suite, error) {
	found := map[string]bool{}
	for i, s := range all {
		all[i].releases = slices.DeleteFunc(slices.Clone(s.releases), func(r testenv.Release) bool {
			if slices.Contains(names, r.Name) {
				found[r.Name] = true
				return false
			}
			return !slices.Contains(names, "all") && (len(names) > 0 || !extreme(s.releases, r))
		})
	}
	for _, name := range names {
		if name != "all" && !found[name] {
			return nil, fmt.Errorf("%s: no such version", name)
		}
	}
	return all, nil
}

// extreme says whether a release is the first or the last of its server's.
func extreme(releases []testenv.Release, r testenv.Release) bool {
	var same []string
	for _, other := range releases {
		if other.Server == r.Server {
			same = append(same, other.Name)
		}
	}
	return r.Name == same[0] || r.Name == same[len(same)-1]
}

// on tests on one version: that it is this one, then the suite.
func (s suite) on(ctx context.Context, r testenv.Release, out, log io.Writer) error {
	if _, err := r.Fetch(log); err != nil {
		return err
	}
	fmt.Fprintf(out, "versions: %s\n", r)
	start := time.Now()
	for _, args := range [][]string{
		{"-run", s.proof, "./hack/testenv"},
		append([]string{"-skip", s.skip}, s.packages...),
	} {
		cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-timeout=20m"}, args...)...)
		cmd.Env = append(os.Environ(), r.Env+"="+r.Name, testenv.EnvRedisURL+"=", testenv.EnvPostgresURL+"=")
		cmd.Stdout, cmd.Stderr = out, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("running go test: %w", err)
		}
	}
	fmt.Fprintf(log, "versions: %s took %s\n", r, time.Since(start).Round(time.Second))
	return nil
}
