// Package up is `layers up`: the whole of Layers in one process, from a folder of manifests, with embedded stores. It
// checks and compiles the objects as a cluster would and serves them with the same handlers and scripts.
package up

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/gateway"
)

// Defaults of Options.
const (
	DefaultListen      = "127.0.0.1:8080"
	DefaultAdminListen = "127.0.0.1:9090"
)

// Options of Run. The zero value of each field but the writers means its default.
type Options struct {
	// Listen and AdminListen are host:port; port 0 takes a free one.
	Listen, AdminListen string
	// Manifests is a folder of YAML; empty: demo mode.
	Manifests string
	// Data is the folder of the embedded ledger and of generated keys; empty: DefaultData. Demo mode writes nothing.
	Data string
	// Redis and Ledger are URLs of servers to use instead of the embedded stores.
	Redis, Ledger string
	// LogFormat is "text" or "json"; LogLevel is "debug", "info", "warn" or "error".
	LogFormat, LogLevel string
	// Stdout gets one line, when it serves; Stderr everything else.
	Stdout, Stderr io.Writer
	// Version is this build's, for people.
	Version string
	// Random is where generated keys come from; nil: crypto/rand.
	Random io.Reader
	// redisTimeout is gateway.Parts.RedisTimeout, in tests that have little of their machine.
	redisTimeout time.Duration
	// poll is how often manifests are looked at where no event comes; 0: pollTime.
	poll time.Duration
	// getenv is os.Getenv but in tests.
	getenv func(string) string
	// baseURLs replaces where the catalogue's providers are, by their names, in tests.
	baseURLs map[string]string
}

// NewCommand is `layers up`.
func NewCommand() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Serve a folder of manifests from one process, with embedded stores",
		Long: `Serve a folder of manifests from one process: no cluster, no Redis and no PostgreSQL is needed.
A change of the manifests takes effect at once; of an object that is wrong then, the version before goes on.
Without --manifests it is a demo: a built-in model, any key that begins with lyr_live_, nothing charged, nothing stored.
With a provider's key in OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, PERPLEXITY_API_KEY, MORPH_API_KEY or
AI_GATEWAY_API_KEY it serves that provider's models for real, and that account pays.
When it serves, one line of JSON on stdout says where; everything else goes to stderr.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Stdout, o.Stderr, o.Version = cmd.OutOrStdout(), cmd.ErrOrStderr(), cmd.Root().Version
			go gateway.TameMemory(cmd.Context()) // the process is this job's
			return Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", DefaultListen, "address of the API, host:port; port 0 takes a free one")
	f.StringVar(&o.AdminListen, "admin-listen", DefaultAdminListen, "address of /healthz, /readyz and /metrics")
	f.StringVar(&o.Manifests, "manifests", "", "folder of YAML or JSON manifests (default: demo mode)")
	f.StringVar(&o.Data, "data", "", "folder of the embedded ledger and of generated keys (default: $XDG_STATE_HOME/layers or ~/.local/state/layers)")
	f.StringVar(&o.Redis, "redis", "", "URL of a Redis to use instead of the embedded one, redis://... or rediss://...")
	f.StringVar(&o.Ledger, "ledger", "", "URL of a ledger to use instead of the embedded one, postgres://... or sqlite:PATH")
	f.StringVar(&o.LogFormat, "log-format", "text", "text or json")
	f.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.AdminListen == "" {
		o.AdminListen = DefaultAdminListen
	}
	if o.LogFormat == "" {
		o.LogFormat = "text"
	}
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.poll == 0 {
		o.poll = pollTime
	}
	if o.getenv == nil {
		o.getenv = os.Getenv
	}
	return o
}

// DefaultData is the user's own state folder for Layers.
func DefaultData() (string, error) {
	// The XDG Base Directory specification: relative paths there are to be ignored.
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "layers"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for data (say one with --data): %w", err)
	}
	return filepath.Join(home, ".local", "state", "layers"), nil
}

func newLogger(o Options) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", o.LogLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch strings.ToLower(o.LogFormat) {
	case "text":
		return slog.New(slog.NewTextHandler(o.Stderr, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(o.Stderr, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q: want text or json", o.LogFormat)
}
