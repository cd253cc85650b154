package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Program is a process for programs that are no tests: it is killed and started again at will, and ends with this process,
// however that ends. Its folder stays.
type Program struct {
	p *proc
}

// Launch runs a program in dir, its output added to the end of the file log there. as may be nil: whoever we are. stop is the
// signal that ends it when this process ends.
func Launch(dir string, as *syscall.Credential, stop syscall.Signal, name string, args ...string) (*Program, error) {
	p, err := startIn(dir, os.O_APPEND, "", as, stop, name, args...)
	if err != nil {
		return nil, err
	}
	return &Program{p}, nil
}

// PID is the process's.
func (p *Program) PID() int { return p.p.cmd.Process.Pid }

// Gone is closed when the process has ended.
func (p *Program) Gone() <-chan struct{} { return p.p.gone }

// Signal sends a signal; one that is gone has it already.
func (p *Program) Signal(s syscall.Signal) { _ = p.p.cmd.Process.Signal(s) }

// Kill ends the process at once, as kill -9 does, and returns when it is gone.
func (p *Program) Kill() {
	p.p.kill()
	_ = p.p.leash.Close() // its watchdog ends
}

// Ended is Kill for a process that ends by itself, or by a signal that was sent before.
func (p *Program) Ended() {
	<-p.p.gone
	_ = p.p.leash.Close() // its watchdog ends
}

// Tail is the end of the log, for error messages.
func (p *Program) Tail() string { return p.p.tail() }

// Until asks ready again and again until it is nil; an error when the process ends or half a minute is over.
func (p *Program) Until(ctx context.Context, ready func(context.Context) error) error {
	if err := poll(ctx, p.p.gone, ready); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail())
	}
	return nil
}

// Cluster makes the data folder of a PostgreSQL cluster, dir/data, and answers PostgreSQL's programs' folder and whom to run
// the server as: it refuses to run as root.
func Cluster(ctx context.Context, dir string, log io.Writer) (bin string, as *syscall.Credential, err error) {
	if bin, err = FindPostgres(log); err != nil {
		return "", nil, err
	}
	if as, err = unprivileged(); err != nil {
		return "", nil, err
	}
	return bin, as, initdb(ctx, bin, dir, as)
}

// FreePorts finds TCP ports of 127.0.0.1 that nobody listens on.
func FreePorts(n int) (ports []int, err error) {
	seen := map[int]bool{}
	for len(ports) < n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		if !seen[port] {
			seen[port] = true
			ports = append(ports, port)
		}
		if len(seen) > 100*n {
			return nil, errors.New("no free ports")
		}
	}
	return ports, nil
}
