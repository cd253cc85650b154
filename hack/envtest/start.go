package envtest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Start runs a private etcd and kube-apiserver on free ports, with the CRDs of config/crd/bases installed. stop ends
// them; it is never nil.
func Start(ctx context.Context, log io.Writer) (config *rest.Config, stop func() error, err error) {
	stop = func() error { return nil }
	dir, err := Assets(ctx, log)
	if err != nil {
		return nil, stop, err
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, stop, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: dir,
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	config, err = env.Start()
	if err != nil {
		return nil, env.Stop, fmt.Errorf("starting the API server: %w", err)
	}
	return config, env.Stop, nil
}
