// Command layers is the AI gateway for Kubernetes: operator, data plane and tools in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/controllers/operator"
	"github.com/layers-dev/layers/controllers/up"
	"github.com/layers-dev/layers/dataplane/gateway"
	"github.com/layers-dev/layers/dataplane/ledger/cli"
	"github.com/layers-dev/layers/dataplane/verify"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// The first signal asks to end in order; the second one finds no handler and kills.
	context.AfterFunc(ctx, stop)
	if err := newCommand().ExecuteContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(exitCode(err))
	}
}

// exitCode is 1, or what an error says of itself.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "layers",
		Short:         "The AI gateway for Kubernetes",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		operator.NewCommand(),
		gateway.NewCommand(),
		up.NewCommand(),
		cli.NewMigrateCommand(),
		cli.NewGrantCommand(),
		cli.NewKeysCommand(),
		cli.NewLedgerCommand(),
		verify.NewCommand(),
		newVersionCommand(),
	)
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this build",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), cmd.Root().Version) // there is nobody else to tell
		},
	}
}

// version is what the Go tool stamped: a tag, a pseudo-version, or (devel).
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
