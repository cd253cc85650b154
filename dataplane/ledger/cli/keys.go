package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// EnvRedisURL names the gateways' Redis where no flag does.
const EnvRedisURL = "LAYERS_REDIS_URL"

// outside is what a command is given from outside.
type outside struct {
	now    func() time.Time
	random io.Reader
}

// NewKeysCommand is `layers keys`, with create, list, rotate and revoke below it: keys that no object declares.
func NewKeysCommand() *cobra.Command {
	return newKeysCommand(outside{time.Now, rand.Reader})
}

func newKeysCommand(o outside) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "keys",
		Short: "Create, list, rotate and revoke keys",
		Long: "Create, list, rotate and revoke keys in the ledger. Keys that an APIKey object or a manifest declares are listed,\n" +
			"but change only with what declares them.",
	})
	cmd.AddCommand(newCreateCommand(o), newListCommand(o), newRotateCommand(o), newRevokeCommand())
	return cmd
}

// redis is which Redis a command tells of what it changed; none is possible.
type redis struct{ url string }

func (r *redis) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.url, "redis", "", "URL of the gateways' Redis, told at once of what changes (default: $"+EnvRedisURL+", or none)")
}

// with opens Redis and runs fn on it, or on nil where there is none.
func (r *redis) with(fn func(*admit.Redis) error) error {
	url := r.url
	if url == "" {
		url = os.Getenv(EnvRedisURL)
	}
	if url == "" {
		return fn(nil)
	}
	store, err := admit.NewRedis(admit.Options{URL: url})
	if err != nil {
		return fmt.Errorf("opening Redis: %w", err)
	}
	defer store.Close()
	return fn(store)
}

// untold warns that only the ledger knows of a change.
func untold(cmd *cobra.Command) {
	fmt.Fprintf(cmd.ErrOrStderr(), "warning: without --redis only the ledger knows: gateways follow when they next look, within %d seconds\n", keys.MaxAge/time.Second)
}

// errPlain never shows what was given.
var errPlain = errors.New("a key on the command line is seen by everybody on the machine: give its id, or - and the key on standard input")

// find finds the row of a key by its id, its digest, or, for "-", the plain key on standard input.
func find(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, arg string) (ledger.Key, error) {
	var k ledger.Key
	var err error
	switch digest, bad := hex.DecodeString(arg); {
	case strings.HasPrefix(arg, keys.LivePrefix):
		return ledger.Key{}, errPlain
	case arg == "-":
		plain, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1024))
		if err != nil {
			return ledger.Key{}, fmt.Errorf("reading the key: %w", err)
		}
		k, err = l.KeyByDigest(ctx, keys.Digest(strings.TrimSpace(string(plain))))
		return k, err
	case bad == nil && len(digest) == 32:
		k, err = l.KeyByDigest(ctx, strings.ToLower(arg))
	default:
		k, err = l.KeyByID(ctx, arg)
	}
	return k, err
}

// ours is find for a key that the command line may change.
func ours(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, arg string) (ledger.Key, error) {
	k, err := find(ctx, cmd, l, arg)
	if err == nil && k.Owned() {
		err = fmt.Errorf("%w: %s of source %s; change or delete that", ledger.ErrOwned, k.ObjectName, k.Source)
	}
	return k, err
}

// qualified puts what has no namespace into default.
func qualified(name string) string {
	if name == "" || strings.Contains(name, "/") {
		return name
	}
	return "default/" + name
}
