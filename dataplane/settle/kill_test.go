package settle

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// childDir, when set, makes this test binary the process that is killed.
const childDir = "LAYERS_TEST_SETTLE_DIR"

// Of the test of killed settlers.
const (
	lives      = 6
	submitters = 3
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := settlerChild(dir, os.Getenv("LAYERS_TEST_SETTLE_RUN")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // this is main, of a test binary that is a child
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// flaky is a ledger that loses answers, before and after it has committed.
type flaky struct{ ledger.Ledger }

var errLost = errors.New("the answer is lost")

func (f flaky) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	if rand.IntN(4) == 0 {
		return nil, errLost
	}
	out, err := f.Ledger.Settle(ctx, rows)
	if rand.IntN(4) == 0 {
		return nil, errLost
	}
	return out, err
}

type nobody struct{}

func (nobody) Confirm(context.Context, []admit.Confirmation) error { return nil }

// settlerChild submits settlements until it is killed and says which of them it answered.
func settlerChild(dir, run string) error {
	l, err := openBooks(dir)
	if err != nil {
		return err
	}
	log, err := wal.Open(filepath.Join(dir, "wal"), wal.Options{SegmentBytes: 20_000, SegmentAge: 30 * time.Millisecond})
	if err != nil {
		return err
	}
	s := New(Options{Ledger: flaky{l}, Confirmer: nobody{}, Log: slog.New(slog.DiscardHandler), WAL: log, SyncEvery: time.Millisecond,
		Backoff: time.Millisecond, BackoffMax: time.Millisecond, Batch: 20})
	var out sync.Mutex
	failed := make(chan error)
	for g := range submitters {
		go func() {
			for i := 0; ; i++ {
				<-time.After(time.Millisecond) // the ledger is to follow
				r := charge(fmt.Sprintf("%s.%d.%d", run, g, i))
				wait, err := s.Submit(r, "digest")
				if err == nil {
					err = wait(context.Background())
				}
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println(r.RequestID)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

func openBooks(dir string) (ledger.Ledger, error) {
	l, err := ledger.Open(context.Background(), "sqlite:"+filepath.Join(dir, "ledger.db"), ledger.Options{})
	if err != nil {
		return nil, err
	}
	return l, l.Migrate(context.Background())
}

// charge is a settlement whose amount follows from its id.
func charge(id string) ledger.Settlement {
	charged := pricing.Nano(1)
	for _, c := range id {
		charged = (charged*31 + pricing.Nano(c)) % 1_000_003
	}
	return ledger.Settlement{
		RequestID: id, Account: "ns/" + id[len(id)-1:], KeyID: "key_1", Model: "m", Provider: "p", Backend: "ns/b", Cost: charged, Charged: charged,
		Held: charged, Evidence: ledger.EvidenceReported, Status: 200, StartedAt: 1_800_000_000_000_000, FinishedAt: 1_800_000_000_000_001,
	}
}

// answeredBefore runs a child, kills it with SIGKILL and answers what it had answered.
func answeredBefore(t *testing.T, dir string, run int, after time.Duration) (answered []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, "LAYERS_TEST_SETTLE_RUN="+strconv.Itoa(run))
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
		answered = append(answered, strings.TrimSpace(line))
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return answered
}

// A process that is killed again and again over one log and one ledger that loses answers: each charge that was answered
// is in the ledger, once, to the nano; and the whole log replayed once more changes nothing.
func TestKilledSettlerChargesOnce(t *testing.T) {
	dir := t.TempDir()
	answered := map[string]bool{}
	for run := range lives {
		for _, id := range answeredBefore(t, dir, run, time.Duration(20+rand.IntN(150))*time.Millisecond) {
			answered[id] = true
		}
	}
	if len(answered) < 50 {
		t.Errorf("only %d were answered", len(answered))
	}
	before := crashed(t, filepath.Join(dir, "wal"))
	l, err := openBooks(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	first := drain(t, l, filepath.Join(dir, "wal"))
	charged := pricing.Nano(0) // also of those that were submitted and not answered any more
	for run := range lives {
		for g := range submitters {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d.%d.%d", run, g, i)
				r, err := l.Receipt(t.Context(), charge(id).Account, id)
				if errors.Is(err, ledger.ErrNotFound) {
					break
				}
				if err != nil || r.Charged != charge(id).Charged {
					t.Fatalf("%s: charged %d, %v", id, r.Charged, err)
				}
				charged += r.Charged
				delete(answered, id)
			}
		}
	}
	if spent := -total(first); len(answered) > 0 || spent != charged {
		t.Errorf("%d charges are lost; accounts paid %d for %d", len(answered), spent, charged)
	}
	again := drain(t, l, before)
	if fmt.Sprint(first) != fmt.Sprint(again) {
		t.Errorf("replayed once more: %v, before %v", again, first)
	}
}

func total(balances []pricing.Nano) (sum pricing.Nano) {
	for _, b := range balances {
		sum += b
	}
	return sum
}

// drain settles all of a log and answers the balances and what the key has spent, which must be each other's sum.
func drain(t *testing.T, l ledger.Ledger, dir string) (balances []pricing.Nano) {
	t.Helper()
	log := openLog(t, dir, wal.Options{})
	s := New(Options{Ledger: l, Confirmer: nobody{}, Log: slog.New(slog.DiscardHandler), WAL: log})
	if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if st := log.Stats(); st.Unconfirmed != 0 || st.Corrupt != 0 {
		t.Errorf("the log is not empty: %+v", st)
	}
	if bad, err := l.Check(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("the ledger is not sound: %v, %v", bad, err)
	}
	for digit := range 10 {
		a, err := l.Account(t.Context(), fmt.Sprintf("ns/%d", digit))
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			t.Fatal(err)
		}
		balances = append(balances, a.Balance)
	}
	day := time.UnixMicro(charge("0").FinishedAt).UTC().Truncate(24 * time.Hour)
	spends, err := l.KeySpends(t.Context(), "key_1", []ledger.Window{{Period: ledger.PeriodDay, Start: day.Unix()}})
	if err != nil || spends[0].Spent != -total(balances) || spends[0].Spent == 0 {
		t.Errorf("spent %v, balances %v, %v", spends, balances, err)
	}
	return balances
}
