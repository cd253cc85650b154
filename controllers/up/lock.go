package up

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// errLocked: another process has the lock.
var errLocked = errors.New("another process uses it")

// takeData finds and makes the data folder, keeps it for this process until release, and clears it of what a killed one left.
func takeData(o *Options) (release func(), err error) {
	if err := prepareData(o); err != nil {
		return nil, err
	}
	release, err = lockData(o.Data)
	if err != nil {
		return nil, err
	}
	if err := (keyFiles{dir: filepath.Join(o.Data, "keys")}).clean(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// lockData keeps a data folder for this process alone: of two, each would make keys of its own, and end those of the
// other's manifests. The system takes the lock back from a process that is killed.
func lockData(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, privateFile)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if err := lock(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("locking the data folder %s (a second layers up needs a --data of its own): %w", dir, err)
	}
	return func() { _ = f.Close() }, nil // which gives the lock back
}
