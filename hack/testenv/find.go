package testenv

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// FindRedis answers the path of redis-server, getting it if need be (see the package); log hears what is done.
func FindRedis(log io.Writer) (string, error) {
	if r, err := Chosen(RedisReleases()); err != nil {
		return "", err
	} else if r != nil {
		return r.Fetch(log)
	}
	return findOrInstall(log, "redis-server", func() string {
		path, _ := exec.LookPath("redis-server") // empty where there is none
		return path
	})
}

// FindPostgres answers the folder of PostgreSQL's initdb and postgres, getting them if need be; log hears what is done.
func FindPostgres(log io.Writer) (string, error) {
	if r, err := Chosen(PostgresReleases()); err != nil {
		return "", err
	} else if r != nil {
		program, err := r.Fetch(log)
		return filepath.Dir(program), err
	}
	return findOrInstall(log, "postgresql", postgresBin)
}

// postgresBin is the folder that has both programs, empty where there is none: the one in PATH (which may be a link to one
// of the two), else the newest of Debian's, which are not in PATH.
func postgresBin() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is constant
	slices.Sort(found)
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, real)
		}
	}
	for _, initdb := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(initdb), "postgres")); err == nil {
			return filepath.Dir(initdb)
		}
	}
	return ""
}

// findOrInstall installs a Debian package unless find finds something.
func findOrInstall(log io.Writer, pkg string, find func() string) (string, error) {
	if p := find(); p != "" {
		return p, nil
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is not installed: install it (on Debian: sudo apt-get install %s), or set %s and %s", pkg, pkg, EnvRedisURL, EnvPostgresURL)
	}
	unlock, err := lock(filepath.Join(os.TempDir(), "layers-testenv-install.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if p := find(); p != "" { // another test process was faster
		return p, nil
	}
	if err := install(log, apt, pkg); err != nil {
		return "", err
	}
	if p := find(); p != "" {
		return p, nil
	}
	return "", fmt.Errorf("package %s is installed, but its programs are not found", pkg)
}

// install runs apt-get update and install, telling log.
func install(log io.Writer, apt, pkg string) error {
	for _, args := range [][]string{
		{"update", "-q"},
		{"install", "-q", "-y", "--no-install-recommends", pkg},
	} {
		fmt.Fprintf(log, "testenv: apt-get %v\n", args)
		cmd := exec.Command(apt, args...)
		// RUNLEVEL=1: the packages' services are not started.
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("running apt-get %s for %s: %w", args[0], pkg, err)
		}
	}
	return nil
}

// lock takes a lock between processes; the answer gives it back.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("taking the lock: %w", err)
	}
	return func() { f.Close() }, nil
}
