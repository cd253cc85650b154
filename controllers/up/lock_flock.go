//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package up

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a file's lock, or answers errLocked at once.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
