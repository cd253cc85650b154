package testenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"go.uber.org/goleak"
)

// proc is a running server and the watchdog that outlives this process to end it.
type proc struct {
	cmd   *exec.Cmd
	gone  chan struct{} // closed when the process has ended
	leash io.Closer
	log   string
}

// start runs a server as the given user (nil: ours) in dir, its output in dir/log. stop is the signal that ends it.
func start(dir string, as *syscall.Credential, stop syscall.Signal, name string, args ...string) (*proc, error) {
	return startIn(dir, os.O_TRUNC, dir, as, stop, name, args...)
}

// startIn is start; mode says what becomes of a log that is there (os.O_TRUNC or os.O_APPEND), removed is the folder that goes
// with this process, empty: none.
func startIn(dir string, mode int, removed string, as *syscall.Credential, stop syscall.Signal, name string, args ...string) (*proc, error) {
	out, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR|mode, 0o666)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", filepath.Base(name), err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	// A group of its own: an interrupt of the terminal reaches the tests first, which then end it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(name), err)
	}
	p := &proc{cmd: cmd, gone: make(chan struct{}), log: out.Name()}
	go p.wait()
	if p.leash, err = watchdog(cmd.Process.Pid, stop, removed); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// wait closes gone when the process has ended.
func (p *proc) wait() {
	_ = p.cmd.Wait() // how it ended is of no interest: tests kill it
	close(p.gone)
}

// kill ends the process at once and returns when it is gone.
func (p *proc) kill() {
	_ = p.cmd.Process.Kill() // gone already is as good
	<-p.gone
}

// tail is the end of the server's log, for error messages.
func (p *proc) tail() string {
	b, _ := os.ReadFile(p.log)
	return string(b[max(0, len(b)-2000):])
}

// watchdog starts a shell that waits until this process is gone, however it ended (its end of the pipe closes), then
// ends the server and removes its directory. Closing the leash does the same now.
func watchdog(pid int, stop syscall.Signal, dir string) (io.Closer, error) {
	const script = `cat >/dev/null
kill -"$2" "$1" 2>/dev/null
n=0; while kill -0 "$1" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
rm -rf "$3"`
	cmd := exec.Command("/bin/sh", "-c", script, "watchdog", strconv.Itoa(pid), strconv.Itoa(int(stop)), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making the watchdog's pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the watchdog: %w", err), in.Close())
	}
	go await(cmd)
	return in, nil
}

// await reaps a watchdog.
func await(cmd *exec.Cmd) { _ = cmd.Wait() }

// IgnoreServers leaves what waits for this package's servers out of what goleak finds: they live as long as the tests.
func IgnoreServers() []goleak.Option {
	const pkg = "github.com/layers-dev/layers/hack/testenv."
	return []goleak.Option{goleak.IgnoreAnyFunction(pkg + "(*proc).wait"), goleak.IgnoreAnyFunction(pkg + "await")}
}
