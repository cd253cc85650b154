// Package envtest finds or makes the binaries of a real kube-apiserver and etcd, and starts them for tests.
//
// In order: the folder that KUBEBUILDER_ASSETS names; setup-envtest's download; a build from the Go modules that
// modules/ pins, kept under the user's cache folder. A machine with only Go and a module proxy is enough.
package envtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// AssetsVariable names the environment variable that says where the binaries are; controller-runtime reads it too.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// kubernetesVersion is the release that modules/kubernetes pins; a test holds the two together.
const kubernetesVersion = "v1.37.2"

// downloadTimeout bounds setup-envtest, so that a machine without its server goes on to the build.
const downloadTimeout = 45 * time.Second

// binaries are what a folder of assets must have.
var binaries = []string{"etcd", "kube-apiserver", "kubectl"}

// Assets answers the folder with etcd, kube-apiserver and kubectl; what it does to get them goes to log.
func Assets(ctx context.Context, log io.Writer) (string, error) {
	if dir := os.Getenv(AssetsVariable); dir != "" {
		return dir, complete(dir)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	built := filepath.Join(cache, "layers", "envtest", kubernetesVersion)
	if complete(built) == nil {
		return built, nil
	}
	dir, err := download(ctx, root, log)
	if err == nil {
		return dir, nil
	}
	fmt.Fprintf(log, "envtest: setup-envtest: %v; building %s from source, which takes minutes once\n", err, kubernetesVersion)
	return built, build(ctx, root, built, log)
}

// complete is nil when dir has every binary.
func complete(dir string) error {
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("assets in %s: %w", dir, err)
		}
	}
	return nil
}

// download asks setup-envtest for the release and answers the folder that it prints.
func download(ctx context.Context, root string, log io.Writer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	minor := strings.Join(strings.Split(strings.TrimPrefix(kubernetesVersion, "v"), ".")[:2], ".")
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=hack/tools/go.mod", "setup-envtest", "use", minor+".x", "-p", "path")
	cmd.Dir = root
	cmd.Stderr = log
	cmd.WaitDelay = time.Second
	fmt.Fprintln(log, "envtest: asking setup-envtest")
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(out))
	return dir, complete(dir)
}

// moduleRoot is the folder of the go.mod above the working directory that has hack/envtest beside it.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "envtest", "modules")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("finding the module: no hack/envtest/modules here or above")
		}
		dir = up
	}
}
