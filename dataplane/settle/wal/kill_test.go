package wal_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// childDir, when set, makes this test binary the process that is killed.
const childDir = "LAYERS_TEST_WAL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv("LAYERS_TEST_WAL_RUN")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // this is main, of a test binary that is a child
		}
		return
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is main
}

// child replays and is done with some of it, then appends in several goroutines until it is killed, and says so: "+ id"
// after an append, "- id" before a record is done.
func child(dir, run string) error {
	l, err := wal.Open(dir, wal.Options{SegmentBytes: 20_000, SegmentAge: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(sign, id string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(sign, id)
	}
	if _, err := l.Replay(func(m wal.Mark, e wal.Entry) error {
		if rand.IntN(2) == 0 {
			say("-", e.Row.RequestID)
			l.Done(m)
		}
		return nil
	}); err != nil {
		return err
	}
	failed := make(chan error)
	for g := range 3 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s.%d.%d", run, g, i)
				m, err := l.Append(entry(id))
				if err != nil {
					failed <- err
					return
				}
				say("+", id)
				if rand.IntN(4) > 0 {
					say("-", id)
					l.Done(m)
				}
			}
		}()
	}
	go func() {
		for {
			if err := l.Sync(); err != nil {
				failed <- err
				return
			}
		}
	}()
	return <-failed
}

// kill runs a child and kills it after some time, with SIGKILL; what it said is in the answer.
func kill(t *testing.T, dir string, run int, after time.Duration) (lines []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, "LAYERS_TEST_WAL_RUN="+strconv.Itoa(run))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n') // it lives
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for ; err == nil; line, err = r.ReadString('\n') {
		lines = append(lines, strings.TrimSpace(line))
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return lines
}

// A process that is killed at any time loses nothing of what it said it has; what it was not done with comes back, over
// many lives in one folder.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	said, done := map[string]bool{}, map[string]bool{}
	appended, torn := 0, 0
	for run := range 25 {
		for _, line := range kill(t, dir, run, time.Duration(rand.IntN(60_000))*time.Microsecond) {
			sign, id, _ := strings.Cut(line, " ")
			switch sign {
			case "+":
				said[id] = true
				appended++
			case "-":
				done[id] = true
			default:
				t.Fatalf("the child said %q", line)
			}
		}
		l, err := wal.Open(dir, wal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, r, err := replayed(t, l)
		if err != nil || r.Corrupt != 0 {
			t.Fatalf("run %d: %+v, %v", run, r, err)
		}
		torn += r.Torn
		back := map[string]bool{}
		for _, id := range got {
			back[id] = true
		}
		for id := range said {
			if !done[id] && !back[id] {
				t.Fatalf("run %d: %s is lost", run, id)
			}
		}
		l.Abandon()
	}
	if appended < 100 {
		t.Errorf("only %d records were appended", appended)
	}
	t.Logf("%d records, %d done, %d torn ends", appended, len(done), torn)
}
