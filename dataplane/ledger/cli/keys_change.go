package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// defaultOverlap is how long a rotated key goes on.
const defaultOverlap = 24 * time.Hour

// changeFlags are what `layers keys rotate` and `revoke` are told.
type changeFlags struct {
	target
	redis
	outside

	overlap time.Duration
}

// newRotateCommand is `layers keys rotate KEY`.
func newRotateCommand(o outside) *cobra.Command {
	f := changeFlags{outside: o}
	cmd := &cobra.Command{
		Use:   "rotate KEY",
		Short: "Replace a key by a new one, and print that, once",
		Long: "Make a new key that has everything of KEY, and print it on standard output, once. KEY goes on for the overlap.\n" +
			"KEY is an id (key_...), a SHA-256, or - to read the key itself from standard input.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.on(cmd, args[0], f.rotate)
		},
	}
	f.target.bind(cmd)
	f.redis.bind(cmd)
	cmd.Flags().DurationVar(&f.overlap, "overlap", defaultOverlap, "how long the key goes on beside the new one; 0: it ends now")
	return cmd
}

// newRevokeCommand is `layers keys revoke KEY`.
func newRevokeCommand() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   "revoke KEY",
		Short: "End a key for good",
		Long: "End a key for good. With --redis the next request is refused; without, gateways follow within a minute.\n" +
			"KEY is an id (key_...), a SHA-256, or - to read the key itself from standard input.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.on(cmd, args[0], f.revoke)
		},
	}
	f.target.bind(cmd)
	f.redis.bind(cmd)
	return cmd
}

// change is what a command does to a key; Redis may be nil.
type change func(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, told *admit.Redis, k ledger.Key) error

// on opens the stores, finds the key and changes it.
func (f *changeFlags) on(cmd *cobra.Command, arg string, do change) error {
	return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error {
		return f.redis.with(func(told *admit.Redis) error {
			k, err := ours(ctx, cmd, l, arg)
			if err != nil {
				return err
			}
			return do(ctx, cmd, l, told, k)
		})
	})
}

// rotate prints the new key before it tells Redis of the old one: that can be done again by others, the key cannot.
func (f *changeFlags) rotate(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, told *admit.Redis, k ledger.Key) error {
	plain, err := keys.Generate(f.random)
	if err != nil {
		return err
	}
	before, after, err := l.RotateKey(ctx, k.Digest, keys.Digest(plain), keys.Prefix(plain), f.overlap)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "created %s; %s ends at %s; this is the only time that the new key is shown:\n",
		after.ID, before.ID, time.UnixMicro(before.ExpiresAt).UTC().Format(time.RFC3339))
	if err := show(cmd, plain, after); err != nil {
		return err
	}
	if told == nil {
		untold(cmd)
		return nil
	}
	if err := keys.Publish(ctx, told, told, before); err != nil {
		return fmt.Errorf("the key is rotated, but Redis could not be told yet when %s ends: %w", before.ID, err)
	}
	return nil
}

func (f *changeFlags) revoke(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, told *admit.Redis, k ledger.Key) error {
	var err error
	if told == nil {
		k, err = l.RevokeKey(ctx, k.Digest)
	} else {
		k, err = keys.Revoke(ctx, l, told, told, k.Digest)
	}
	if err != nil && !errors.Is(err, keys.ErrUntold) {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "revoked %s of account %s\n", k.ID, k.Account)
	if told == nil {
		untold(cmd)
	}
	return err
}
