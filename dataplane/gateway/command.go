package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/failover"
	"github.com/layers-dev/layers/dataplane/server"
)

// Options of the job `layers gateway`.
type Options struct {
	// Listen, AdminListen and AckListen are host:port; port 0 takes a free one. AckListen may be empty: no such port.
	Listen, AdminListen, AckListen string
	// SnapshotDir is where the snapshot Secret is mounted; SnapshotSecret is its NAMESPACE/NAME, to be watched. At least
	// one of them must be there.
	SnapshotDir, SnapshotSecret string
	// GatewayUID is the UID of the AIGateway whose snapshots are served; empty: that of the first one found.
	GatewayUID string
	// RedisURLFile and LedgerURLFile hold the URLs of the stores; they are read again as they change. Empty: demo mode only.
	RedisURLFile, LedgerURLFile string
	// WALDir is the folder of the write-ahead log of settlements, on a disk that outlives the process; empty: there is none, and an
	// answer waits for the ledger.
	WALDir string
	// PodUID tells this replica from all others, and PodUID with a random name this start of it; empty: the host's name.
	PodUID string
	// OwnerLease is how long a replica that is not heard of keeps its holds; SyncEvery is how often it compares them with Redis.
	// 0: admit.DefaultLease and admit.DefaultSync.
	OwnerLease, SyncEvery time.Duration
	// RedisTimeout is how long a decision waits for Redis before it is made without; 0: failover.DefaultTimeout.
	RedisTimeout time.Duration
	// TLSDir has tls.crt and tls.key, followed as they change; empty: the API is HTTP/1.1 and cleartext HTTP/2.
	TLSDir string
	// BodyBudget bounds all request bodies in flight, in bytes; 0: server.DefaultBodyBudget.
	BodyBudget int64
	Drain      server.Drain
	// LogFormat is "text" or "json"; LogLevel is "debug", "info", "warn" or "error".
	LogFormat, LogLevel string
	// Version is this build's, for people.
	Version string
	// Stderr gets the log.
	Stderr io.Writer
	// Ready, if set, is called once when all ports answer.
	Ready func(Bound)
}

// NewCommand is `layers gateway`.
func NewCommand() *cobra.Command {
	var o Options
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Run the data plane: the API, from a snapshot that the operator publishes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Stderr, o.Version = cmd.ErrOrStderr(), cmd.Root().Version
			return Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", ":8080", "address of the API, host:port; port 0 takes a free one")
	f.StringVar(&o.AdminListen, "admin-listen", ":9090", "address of /healthz, /readyz and /metrics")
	f.StringVar(&o.AckListen, "ack-listen", ":8082", "address where the operator asks which snapshot is served; empty: none")
	f.StringVar(&o.SnapshotDir, "snapshot-dir", "", "folder where the snapshot Secret is mounted")
	f.StringVar(&o.SnapshotSecret, "snapshot-secret", "", "NAMESPACE/NAME of the snapshot Secret, to be watched")
	f.StringVar(&o.GatewayUID, "gateway-uid", "", "UID of the AIGateway whose snapshots are served; empty: that of the first one found")
	f.StringVar(&o.RedisURLFile, "redis-url-file", "", "file that holds the URL of Redis, redis://... or rediss://...")
	f.StringVar(&o.LedgerURLFile, "ledger-url-file", "", "file that holds the URL of the ledger, postgres://... or sqlite:PATH")
	f.StringVar(&o.WALDir, "wal-dir", "", "folder of the write-ahead log of settlements; empty: answers wait for the ledger")
	f.StringVar(&o.PodUID, "pod-uid", "", "what tells this replica from all others; empty: the host's name")
	f.DurationVar(&o.OwnerLease, "owner-lease", admit.DefaultLease, "how long a replica that is not heard of keeps its holds; then others settle them")
	f.DurationVar(&o.SyncEvery, "sync-every", admit.DefaultSync, "how often this replica's holds are compared with those in Redis")
	f.DurationVar(&o.RedisTimeout, "redis-timeout", failover.DefaultTimeout, "how long a decision waits for Redis before it is made without")
	f.StringVar(&o.TLSDir, "tls-dir", "", "folder with tls.crt and tls.key for the API, followed as they change; empty: HTTP/1.1 and cleartext HTTP/2")
	f.Int64Var(&o.BodyBudget, "body-budget", server.DefaultBodyBudget, "bytes that all request bodies in flight may take; a request above it is answered 503")
	f.DurationVar(&o.Drain.Delay, "drain-delay", 10*time.Second, "how long to go on accepting after saying not ready")
	f.DurationVar(&o.Drain.Timeout, "drain-timeout", 15*time.Minute, "how long open requests may take to finish")
	f.StringVar(&o.LogFormat, "log-format", "json", "text or json")
	f.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func (o Options) check() error {
	if o.SnapshotDir == "" && o.SnapshotSecret == "" {
		return errors.New("one of --snapshot-dir and --snapshot-secret is needed: where does the configuration come from?")
	}
	if o.BodyBudget < 0 {
		return fmt.Errorf("--body-budget %d: want at least 0", o.BodyBudget)
	}
	if o.OwnerLease < 0 || o.SyncEvery < 0 || o.RedisTimeout < 0 {
		return fmt.Errorf("--owner-lease %v, --sync-every %v, --redis-timeout %v: want at least 0", o.OwnerLease, o.SyncEvery, o.RedisTimeout)
	}
	if strings.ContainsAny(o.PodUID, " \n") {
		return fmt.Errorf("--pod-uid %q: want no spaces", o.PodUID)
	}
	if o.SnapshotSecret == "" {
		return nil
	}
	if namespace, name, ok := strings.Cut(o.SnapshotSecret, "/"); !ok || namespace == "" || name == "" {
		return fmt.Errorf("--snapshot-secret %q: want NAMESPACE/NAME", o.SnapshotSecret)
	}
	return nil
}

func (o Options) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", o.LogLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch o.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(o.Stderr, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(o.Stderr, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q: want text or json", o.LogFormat)
}
