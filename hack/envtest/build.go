package envtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// target is one binary: the module under modules/ that pins it, and its package.
type target struct {
	name, module, pkg string
}

var targets = []target{
	{"etcd", "etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"},
}

// build makes the binaries that dir lacks. A binary appears under its name only when it is whole, so that two builds at
// once do no harm.
func build(ctx context.Context, root, dir string, log io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	for _, t := range targets {
		if _, err := os.Stat(filepath.Join(dir, t.name)); err == nil {
			continue
		}
		fmt.Fprintf(log, "envtest: building %s\n", t.name)
		if err := buildOne(ctx, root, dir, t, log); err != nil {
			return fmt.Errorf("building %s: %w", t.name, err)
		}
	}
	return nil
}

func buildOne(ctx context.Context, root, dir string, t target, log io.Writer) error {
	temp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	out := filepath.Join(temp, t.name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", ldflags(), "-o", out, t.pkg)
	cmd.Dir = filepath.Join(root, "hack", "envtest", "modules", t.module)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return err
	}
	return os.Rename(out, filepath.Join(dir, t.name))
}

// ldflags tells the binaries their release; an API server that thinks it is v0.0.0 refuses to start.
func ldflags() string {
	parts := strings.Split(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	flags := []string{"-s", "-w"}
	for _, v := range []string{
		"k8s.io/component-base/version.gitVersion=" + kubernetesVersion,
		"k8s.io/component-base/version.gitMajor=" + parts[0],
		"k8s.io/component-base/version.gitMinor=" + parts[1],
		"k8s.io/client-go/pkg/version.gitVersion=" + kubernetesVersion,
	} {
		flags = append(flags, "-X", v)
	}
	return strings.Join(flags, " ")
}
