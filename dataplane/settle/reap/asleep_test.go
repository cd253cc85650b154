package reap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// childStores, when set, makes this test binary the process that is put to sleep: URLs of Redis and the ledger.
const childStores = "LAYERS_TEST_REAP_STORES"

func TestMain(m *testing.M) {
	if urls := os.Getenv(childStores); urls != "" {
		if err := child(context.Background(), strings.Fields(urls)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // this is main, of a test binary that is a child
		}
		return
	}
	os.Exit(m.Run()) //nolint:forbidigo // as above
}

// child admits a request, waits for a line, ends the request, and is done when the ledger has it.
func child(ctx context.Context, urls []string) error {
	books, err := ledger.Open(ctx, urls[1], ledger.Options{})
	if err != nil {
		return err
	}
	defer books.Close()
	redis, err := process(ctx, urls[0], "sleeper", books)
	if err != nil {
		return err
	}
	defer redis.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go redis.Keep(ctx, func(err error) { fmt.Fprintln(os.Stderr, "keeping:", err) })
	log, err := wal.Open(urls[2], wal.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	s := settle.New(settle.Options{Ledger: books, Confirmer: redis, Log: slog.New(slog.DiscardHandler), WAL: log, Owned: true})
	record, err := ledger.EncodeRecord(unfinished("r", ledger.OrphanHold))
	if err != nil {
		return err
	}
	if d, err := redis.Admit(ctx, want("r", record)); err != nil || d.Outcome != admit.Admitted {
		return fmt.Errorf("%+v: %w", d, err)
	}
	fmt.Println("admitted")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	e := finished("r")
	if record, err = ledger.EncodeRecord(e); err != nil {
		return err
	}
	finish := redis.Finish(ctx, admit.Finish{RequestID: "r", Account: account, KeyDigest: digest, Actual: e.Charged, Record: record})
	if _, err := s.Submit(e, digest); err != nil || finish != nil {
		return errors.Join(finish, err)
	}
	return s.Close(ctx)
}

// A process is stopped past its lease, reaped, and continued: its request is charged the floor first, then what it really
// cost, by one adjustment.
func TestStoppedProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		self, err := os.Executable()
		s.must(err)
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childStores+"="+strings.Join([]string{s.redis, s.ledger, t.TempDir()}, " "))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		s.must(err)
		out, err := cmd.StdoutPipe()
		s.must(err)
		s.must(cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may be gone
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "admitted\n" {
			t.Fatalf("the child said %q, %v", line, err)
		}
		s.must(cmd.Process.Signal(syscall.SIGSTOP))
		live := s.process("live")
		r := s.reaper(live)
		s.quiet(live, 100, func() { r.Round(t.Context()) })
		if got := s.receipt("r"); got.Evidence != ledger.EvidenceOrphan || got.Charged != 100 {
			t.Errorf("while it sleeps: %+v", got)
		}
		_, err = io.WriteString(in, "end\n")
		s.must(err)
		s.must(cmd.Process.Signal(syscall.SIGCONT))
		s.must(cmd.Wait())
		s.quiet(live, 41, func() { r.Round(t.Context()) })
		if got := s.receipt("r"); got.Evidence != ledger.EvidenceReported || got.Charged != 41 || got.Floor != 100 {
			t.Errorf("after it woke: %+v", got)
		}
		// Whatever comes once more changes nothing.
		_, err = s.books.Settle(t.Context(), []ledger.Settlement{finished("r"), {
			RequestID: "r", Account: account, Held: 100, Charged: 100, Evidence: ledger.EvidenceOrphan, OrphanCharge: ledger.OrphanHold,
		}})
		s.must(err)
		s.quiet(live, 41, func() {})
	})
}
