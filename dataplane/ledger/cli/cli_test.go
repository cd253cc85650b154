package cli_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/ledger/cli"
	"github.com/layers-dev/layers/hack/testenv"
)

// layers runs a command line and answers what it said.
func layers(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := &cobra.Command{Use: "layers"}
	root.AddCommand(cli.NewMigrateCommand(), cli.NewGrantCommand(), cli.NewLedgerCommand())
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// said is what a command that must succeed says.
func said(t *testing.T, args ...string) string {
	t.Helper()
	out, err := layers(t, args...)
	if err != nil {
		t.Fatalf("layers %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

func TestMigrateGrantCheck(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "l.db") },
		"postgres": func(t *testing.T) string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			url := url(t)
			if out, err := layers(t, "grant", "acme", "1", "--reason", "test", "--ledger", url); err == nil || !strings.Contains(err.Error(), "layers migrate") {
				t.Errorf("grant before migrate: %v %s", err, out)
			}
			said(t, "migrate", "--ledger", url)
			said(t, "migrate", "--ledger", url)
			want := "grant first: 500 credits to default/acme, balance 500 credits"
			for range 2 {
				if got := said(t, "grant", "acme", "500", "--reason", "test", "--id", "first", "--ledger", url); got != want {
					t.Errorf("said %q, want %q", got, want)
				}
			}
			got := said(t, "grant", "team-a/acme", "0.0000001", "--reason", "test", "--ledger", url)
			if !regexp.MustCompile(`^grant [0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]+: 0\.0000001 credits to team-a/acme, balance 0\.0000001 credits$`).MatchString(got) {
				t.Errorf("said %q", got)
			}
			if got := said(t, "ledger", "check", "--ledger", url); got != "the ledger is sound" {
				t.Errorf("said %q", got)
			}
		})
	}
}

func TestGrantInThePinnedCredit(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "l.db")
	said(t, "migrate", "--ledger", url)
	l, err := ledger.Open(t.Context(), url, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.CreditsPerDollar(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	said(t, "grant", "acme", "500", "--reason", "test", "--ledger", url)
	if a, err := l.Account(t.Context(), "default/acme"); err != nil || a.Balance != 500_000_000 {
		t.Errorf("500 of 1000 credits a dollar are %+v, %v", a, err)
	}
}

func TestGrantRefused(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "l.db")
	said(t, "migrate", "--ledger", url)
	said(t, "grant", "acme", "5", "--reason", "test", "--id", "used", "--ledger", url)
	for name, args := range map[string][]string{
		"no reason":      {"acme", "1"},
		"empty reason":   {"acme", "1", "--reason", " "},
		"no amount":      {"acme", "--reason", "test"},
		"zero":           {"acme", "0", "--reason", "test"},
		"negative":       {"acme", "--reason", "test", "--", "-1"},
		"exponent":       {"acme", "1e3", "--reason", "test"},
		"too fine":       {"acme", "0.00000001", "--reason", "test"},
		"system account": {"system/promo", "1", "--reason", "test"},
		"capitals":       {"default/ACME", "1", "--reason", "test"},
		"two slashes":    {"a/b/c", "1", "--reason", "test"},
		"used id":        {"acme", "6", "--reason", "test", "--id", "used"},
	} {
		if out, err := layers(t, append([]string{"grant", "--ledger", url}, args...)...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	if got := said(t, "grant", "acme", "5", "--reason", "test", "--id", "used", "--ledger", url); !strings.HasSuffix(got, "balance 5 credits") {
		t.Errorf("said %q", got)
	}
}

func TestCheckFailsAndSaysWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	said(t, "migrate", "--ledger", "sqlite:"+path)
	said(t, "grant", "acme", "5", "--reason", "test", "--ledger", "sqlite:"+path)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), "UPDATE accounts SET balance = 1"); err != nil {
		t.Fatal(err)
	}
	out, err := layers(t, "ledger", "check", "--ledger", "sqlite:"+path)
	if err == nil || !strings.Contains(out, "account default/acme: balance 1, but its entries sum to 50000000") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhichLedger(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "url")
	if err := os.WriteFile(file, []byte("sqlite:"+filepath.Join(dir, "file.db")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(cli.EnvURL, "sqlite:"+filepath.Join(dir, "env.db"))
	said(t, "migrate")
	said(t, "migrate", "--ledger-url-file", file)
	said(t, "migrate", "--ledger", "sqlite:"+filepath.Join(dir, "flag.db"))
	for _, name := range []string{"env.db", "file.db", "flag.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	t.Setenv(cli.EnvURL, "")
	for name, args := range map[string][]string{
		"none":    {"migrate"},
		"both":    {"migrate", "--ledger", "sqlite:x", "--ledger-url-file", file},
		"no file": {"migrate", "--ledger-url-file", filepath.Join(dir, "missing")},
	} {
		if _, err := layers(t, args...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestPasswordIsNeverSaid(t *testing.T) {
	t.Setenv(cli.EnvURL, "postgres://u:hunter2@127.0.0.1:1/db")
	for _, args := range [][]string{
		{"--help"}, {"migrate", "--help"}, {"migrate"}, {"ledger", "check"},
		{"grant", "a", "1", "--reason", "test"}, {"migrate", "--ledger", "postgres://u:hunter2@h:x/db"}, {"grant"},
	} {
		out, err := layers(t, args...)
		if err != nil {
			out += err.Error()
		}
		if strings.Contains(out, "hunter2") {
			t.Errorf("layers %v says %s", args, out)
		}
	}
}

func TestCommandsHonourTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := cli.NewMigrateCommand()
	cmd.SetArgs([]string{"--ledger", "sqlite:" + filepath.Join(t.TempDir(), "l.db")})
	if err := cmd.ExecuteContext(ctx); err == nil {
		t.Error("migrated on a context that was over")
	}
}
