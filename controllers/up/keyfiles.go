package up

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/dataplane/keys"
)

// Modes of what only the user may read.
const (
	privateDir  = 0o700
	privateFile = 0o600
)

// unfinished are the names of files that are being written.
const unfinished = ".new-*"

// keyFiles keeps generated keys as files: what Secrets are in a cluster.
type keyFiles struct {
	dir    string
	random io.Reader
}

// path is the file of one Secret. Neither part can hold a slash, and a namespace no point.
func (k keyFiles) path(secret types.NamespacedName) string {
	return filepath.Join(k.dir, secret.Namespace+"."+secret.Name)
}

// get reads the key of one Secret, or makes it.
func (k keyFiles) get(secret types.NamespacedName) (string, error) {
	raw, err := os.ReadFile(k.path(secret))
	if errors.Is(err, os.ErrNotExist) {
		return k.generate(secret)
	}
	if err != nil {
		return "", fmt.Errorf("reading a generated key: %w", err)
	}
	plain := strings.TrimSpace(string(raw))
	if err := keys.Parse(plain); err != nil {
		return "", fmt.Errorf("the generated key in %s was changed (remove the file for a new one): %w", k.path(secret), err)
	}
	return plain, nil
}

// clean removes what a process left that was killed while it made a key, which nobody was ever given.
func (k keyFiles) clean() error {
	left, err := filepath.Glob(filepath.Join(k.dir, unfinished))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	if err != nil {
		return fmt.Errorf("removing unfinished keys: %w", err)
	}
	return nil
}

// generate makes a new key. The file appears whole or not at all.
func (k keyFiles) generate(secret types.NamespacedName) (string, error) {
	plain, err := keys.Generate(k.random)
	if err != nil {
		return "", fmt.Errorf("generating a key: %w", err)
	}
	if err := os.MkdirAll(k.dir, privateDir); err != nil {
		return "", fmt.Errorf("keeping a generated key: %w", err)
	}
	f, err := os.CreateTemp(k.dir, unfinished) // made with mode 0600
	if err != nil {
		return "", fmt.Errorf("keeping a generated key: %w", err)
	}
	_, err = f.WriteString(plain + "\n")
	if err = errors.Join(err, f.Sync(), f.Close(), os.Chmod(f.Name(), privateFile)); err == nil {
		err = os.Rename(f.Name(), k.path(secret))
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("keeping a generated key: %w", err), os.Remove(f.Name()))
	}
	return plain, nil
}
