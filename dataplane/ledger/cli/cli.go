// Package cli has the commands that work on a ledger by hand: `layers migrate`, `layers grant`, `layers keys` and `layers
// ledger` with check, adjust, overdraft, suspend, resume, export and reconcile.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// EnvURL names the ledger where no flag does: a URL with a password should not stand in the list of processes.
const EnvURL = "LAYERS_LEDGER_URL"

// defaultPerDollar is what a credit is in a ledger that pins nothing yet: a cent.
const defaultPerDollar = 100

// target is which ledger a command works on; at is its URL, once it is open.
type target struct{ url, file, at string }

// bind adds the flags. The environment is read when the command runs: as a flag's default, help would print it.
func (t *target) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.url, "ledger", "", "URL of the ledger: postgres://... or sqlite:PATH (default: $"+EnvURL+")")
	cmd.Flags().StringVar(&t.file, "ledger-url-file", "", "file that holds the URL of the ledger, such as a mounted Secret")
	cmd.MarkFlagsMutuallyExclusive("ledger", "ledger-url-file")
}

// open opens the ledger; errors never show its URL.
func (t *target) open(ctx context.Context) (ledger.Ledger, error) {
	url := t.url
	switch {
	case t.file != "":
		content, err := os.ReadFile(t.file)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger's URL: %w", err)
		}
		url = strings.TrimSpace(string(content))
	case url == "":
		url = os.Getenv(EnvURL)
	}
	if url == "" {
		return nil, errors.New("which ledger? give --ledger, --ledger-url-file or " + EnvURL)
	}
	t.at = url
	return ledger.Open(ctx, url, ledger.Options{})
}

// there fails for a file that is not there: a mistyped path must not make one.
func (t *target) there() error {
	path, file := strings.CutPrefix(t.at, "sqlite:")
	if !file {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no ledger at %s (`layers migrate` makes one)", path)
	}
	return nil // whatever else it is, opening it says
}

// with runs fn on the opened ledger.
func (t *target) with(cmd *cobra.Command, fn func(context.Context, ledger.Ledger) error) error {
	cmd.SilenceUsage = true // from here on it is not the arguments that are wrong
	l, err := t.open(cmd.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	return fn(cmd.Context(), l)
}

// ready is with for commands that need the schema.
func (t *target) ready(cmd *cobra.Command, fn func(context.Context, ledger.Ledger) error) error {
	return t.with(cmd, func(ctx context.Context, l ledger.Ledger) error {
		if err := t.there(); err != nil {
			return err
		}
		if err := l.Ready(ctx); errors.Is(err, ledger.ErrSchema) {
			return fmt.Errorf("%w (run `layers migrate`)", err)
		} else if err != nil {
			return err
		}
		return fn(ctx, l)
	})
}

// creditsPerDollar is what a credit is in this ledger.
func creditsPerDollar(ctx context.Context, l ledger.Ledger) (int64, error) {
	pinned, err := l.CreditsPerDollar(ctx, 0)
	if err == nil && pinned == 0 {
		pinned = defaultPerDollar
	}
	return pinned, err
}

// NewMigrateCommand is `layers migrate`: it brings the ledger's schema to this build's version.
func NewMigrateCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create the ledger's tables, or bring them up to date",
		Long: "Create the ledger's tables, or bring them up to date. It may run at any time and any number of times, also while\n" +
			"gateways of the version before serve. On PostgreSQL it needs the right to create tables; gateways do not. Where\n" +
			"they have a role of their own, the role that migrates says once, before it first does:\n\n" +
			"  ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO their_role\n\n" +
			"On PostgreSQL 14 any role may make tables, unless it says this as well:\n\n" +
			"  REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.with(cmd, func(ctx context.Context, l ledger.Ledger) error {
				if err := l.Migrate(ctx); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "the ledger's schema is up to date")
				return nil
			})
		},
	}
	t.bind(cmd)
	return cmd
}

// parent makes a command that has others below it, and fails for one that it does not have: by itself it would print its help and
// succeed, and a mistyped check would pass every night.
func parent(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// once is an error of what has an id, and how to try it again without doing it twice, where that may help.
func once(err error, doing, id string) error {
	if errors.Is(err, ledger.ErrConflict) {
		return fmt.Errorf("%w: the id, or the source, is that of another one", err)
	}
	return fmt.Errorf("%w (to try again without %s twice: --id %s)", err, doing, id)
}

// NewLedgerCommand is `layers ledger`, with what looks after a ledger below it.
func NewLedgerCommand() *cobra.Command {
	cmd := parent(&cobra.Command{Use: "ledger", Short: "Look after the ledger"})
	cmd.AddCommand(newCheckCommand(), newAdjustCommand(), newOverdraftCommand(), newSuspendCommand(), newResumeCommand(), newExportCommand(), newReconcileCommand())
	return cmd
}
