package operator

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// NewCommand is `layers operator`.
func NewCommand() *cobra.Command {
	var (
		o         Options
		logFormat string
	)
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Reconcile the objects of group layers.dev in a cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(cmd.ErrOrStderr(), logFormat)
			if err != nil {
				return err
			}
			ctrl.SetLogger(logger)
			klog.SetLogger(logger)
			o.Logger = logger
			if o.Config, err = ctrl.GetConfig(); err != nil {
				return fmt.Errorf("finding the cluster: %w", err)
			}
			return Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.GatewayImage, "gateway-image", "", "image of the data plane where an AIGateway names none (required)")
	f.StringSliceVar(&o.Namespaces, "namespace", nil, "namespaces to watch; none: all")
	f.StringVar(&o.Namespace, "operator-namespace", ownNamespace(), "namespace of the operator's own pods, which may ask the replicas; the default is the pod's own")
	f.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8443", `address of /metrics, served over TLS to whom the API server lets GET it; "0": none`)
	f.StringVar(&o.MetricsCertDir, "metrics-cert-dir", "", "folder with tls.crt and tls.key for /metrics; empty: a certificate made at start")
	f.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", `address of /healthz and /readyz; "0": none`)
	f.BoolVar(&o.LeaderElect, "leader-elect", false, "let only one of several operators write")
	f.StringVar(&o.LeaderElectionNamespace, "leader-election-namespace", "", "namespace of the Lease; the default is the pod's own")
	f.StringVar(&logFormat, "log-format", "json", "json or text")
	_ = cmd.MarkFlagRequired("gateway-image") // the flag exists: it is defined above
	return cmd
}

// ownNamespace is where this pod is; empty outside of a cluster.
func ownNamespace() string {
	b, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func newLogger(w io.Writer, format string) (logr.Logger, error) {
	switch format {
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(w, nil)), nil
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(w, nil)), nil
	}
	return logr.Logger{}, fmt.Errorf("log format %q: json or text", format)
}
