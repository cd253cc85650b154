package up

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
)

// TestDataIsOnes: a second process does not touch the keys and the ledger of the first; after it, it may.
func TestDataIsOnes(t *testing.T) {
	o := Options{Manifests: folder(t, manifest(t, "http://127.0.0.1:1/v1", keys.Digest(plainKey))), Data: t.TempDir(), Listen: "127.0.0.1:0"}
	first := start(t, o)
	second := o
	second.AdminListen, second.Stdout, second.Stderr, second.getenv = "127.0.0.1:0", io.Discard, io.Discard, nothingSet
	if err := Run(t.Context(), second); !errors.Is(err, errLocked) {
		t.Fatalf("a second process: %v", err)
	}
	first.stop(t)
	left := filepath.Join(o.Data, "keys", ".new-1")
	if err := os.WriteFile(left, []byte("lyr_live_half"), privateFile); err != nil {
		t.Fatal(err)
	}
	start(t, o)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed process left of a key is still there: %v", err)
	}
}
