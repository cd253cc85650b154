package failover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/hack/testenv"
)

const (
	// stallEnv has a child process be a replica on the Redis that it names.
	stallEnv = "LAYERS_TEST_STALLS_ON"
	// stallTimeout is of a machine that does more than this test, so that what is slow is the replica and not Redis. A stall is
	// longer than it; a long one is longer than the client itself is patient.
	stallTimeout         = 400 * time.Millisecond
	shortStall           = 700 * time.Millisecond
	longStall            = 1500 * time.Millisecond
	stallRounds, stallIn = 4, 4 // stalls, and calls under way in each
)

// A replica that has none of the machine for a while, with calls under way, does not take Redis for away: the answers are there when it
// looks, and after a stall that is not too long they are heard.
func TestStalledReplicaDoesNotBlameRedis(t *testing.T) {
	if url := os.Getenv(stallEnv); url != "" {
		stalls(t, url)
		return
	}
	for _, length := range []time.Duration{shortStall, longStall} {
		t.Run(length.String(), func(t *testing.T) {
			var openings, timeouts int
			_, err := fmt.Sscan(stalled(t, length), &openings, &timeouts)
			must(t, err)
			same(t, "openings", openings, 0)
			if most := stallRounds * stallIn / 4; length == shortStall && timeouts > most {
				t.Errorf("%d calls were given up, want at most %d", timeouts, most)
			}
		})
	}
}

// stalled has a replica stall again and again, and answers what it says of it.
func stalled(t *testing.T, length time.Duration) string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStalledReplicaDoesNotBlameRedis$")
	child.Env = append(os.Environ(), stallEnv+"="+testenv.RedisServer(t).URL)
	in, err := child.StdinPipe()
	must(t, err)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	lines := bufio.NewScanner(out)
	said := func(prefix string) string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return text
			}
		}
		t.Fatal("the replica has ended")
		return ""
	}
	for range stallRounds {
		said("asks")
		must(t, child.Process.Signal(syscall.SIGSTOP))
		<-time.After(length)
		must(t, child.Process.Signal(syscall.SIGCONT))
		_, err := fmt.Fprintln(in, "again") // it says that it asks once it has asked after this
		must(t, err)
	}
	must(t, in.Close())
	report := said("openings and timeouts: ")
	must(t, child.Wait())
	return report
}

// stalls asks all the time, says so before it is stopped, and in the end how often Redis was away.
func stalls(t *testing.T, url string) {
	r, err := admit.NewRedis(admit.Options{URL: url, Owner: "a"})
	must(t, err)
	defer r.Close()
	f := New(Options{Primary: r, Owner: "a", Demo: func() bool { return true }, Timeout: stallTimeout})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	running.Go(func() { r.Keep(ctx, func(error) {}) })
	var asked atomic.Int64
	for range stallIn {
		running.Go(func() {
			for ctx.Err() == nil {
				_, _ = f.Admit(ctx, request(0, unmetered))
				asked.Add(1)
			}
		})
	}
	in := bufio.NewReader(os.Stdin)
	for err = nil; err == nil; _, err = in.ReadString('\n') {
		before := asked.Load()
		eventually(t, "it asks", func() bool { return asked.Load() > before+100 })
		fmt.Println("asks")
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	cancel()
	running.Wait()
	fmt.Println("openings and timeouts:", f.stats.openings.Load(), f.stats.timeouts.Load())
}

// What hangs is back when it answers, however long the pauses between two probes are.
func TestBackAsSoonAsItAnswers(t *testing.T) {
	h := newHung(t)
	h.o.Probe = time.Hour
	h.load(16)
	for range 3 {
		must(t, syscall.Kill(h.pid, syscall.SIGSTOP))
		eventually(t, "it is away", func() bool { h.each(); return h.Away() })
		must(t, syscall.Kill(h.pid, syscall.SIGCONT))
		eventually(t, "it is back", func() bool { return !h.Away() })
		same(t, "it is asked", h.Ping(t.Context()), nil)
	}
}

// Calls that never end are not made without bound.
func TestStraysAreBounded(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	f := New(Options{Primary: &primary{}})
	stuck := func(context.Context) (int, error) { <-never; return 0, nil }
	var all sync.WaitGroup
	for range mostStrays {
		all.Go(func() {
			if _, err := ask(context.Background(), f, time.Millisecond, stuck); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	_, err := ask(context.Background(), f, time.Hour, stuck)
	same(t, "one more", err, errStrays)
}

// What a call that has panicked says is an error: nobody waits for it who could catch it.
func TestPanickingCall(t *testing.T) {
	f := New(Options{Primary: &primary{}})
	_, err := ask(context.Background(), f, time.Hour, func(context.Context) (int, error) { panic("oh") })
	same(t, "said", err != nil && strings.Contains(err.Error(), "oh"), true)
	same(t, "strays", f.strays.Load(), 0)
}
