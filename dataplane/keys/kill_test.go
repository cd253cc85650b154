package keys

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// What the process that is killed is told.
const (
	envLedger = "LAYERS_TEST_KILLED_LEDGER"
	envRedis  = "LAYERS_TEST_KILLED_REDIS"
	envDigest = "LAYERS_TEST_KILLED_DIGEST"
	envStep   = "LAYERS_TEST_KILLED_STEP"
)

// TestRevokeKill9 revokes in another process, on PostgreSQL, and kills that with signal 9 before each step and after the
// last. From the first step that a store has done, the next request is refused; whatever is left over, the outbox does.
func TestRevokeKill9(t *testing.T) {
	if os.Getenv(envStep) != "" {
		revokeUntil(t)
		return
	}
	books, redis := testenv.Postgres(t), testenv.Redis(t)
	w := connect(t, books, redis)
	for step := range steps + 1 {
		k := w.key(fmt.Sprint("k", step))
		kill9(t, step, envLedger+"="+books, envRedis+"="+redis, envDigest+"="+k.Digest)
		if passes := w.passes(k.Digest); passes != (step < 2) { // the tombstone is the second step
			t.Errorf("killed before step %d: a request passes is %v", step, passes)
		}
		row, err := w.ledger.KeyByDigest(t.Context(), k.Digest)
		if committed := row.State == ledger.KeyRevoked; err != nil || committed != (step > 3) {
			t.Errorf("killed before step %d: the ledger has it is %v, %v", step, committed, err)
		}
		pending, err := w.ledger.PendingOutbox(t.Context(), "", 10)
		if err != nil || len(pending) == 1 != (step > 3) {
			t.Errorf("killed before step %d: outbox %v, %v", step, pending, err)
		}
		if step > 3 {
			w.flush() // and Redis loses all that it was told
		}
		w.deliver()
		if passes := w.passes(k.Digest); passes != (step < 2) {
			t.Errorf("killed before step %d, delivered: a request passes is %v", step, passes)
		}
	}
}

// kill9 runs this test in a process of its own until it is at the step, and kills that.
func kill9(t *testing.T, step int, env ...string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestRevokeKill9$")
	child.Env = append(append(os.Environ(), env...), envStep+"="+strconv.Itoa(step))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, errRead := bufio.NewReader(out).ReadString('\n')
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if errRead != nil || line != "here\n" {
		t.Fatalf("the other process says %q, %v", line, errRead)
	}
}

// revokeUntil revokes up to a step, says so and waits to be killed.
func revokeUntil(t *testing.T) {
	last, err := strconv.Atoi(os.Getenv(envStep))
	if err != nil {
		t.Fatal(err)
	}
	wait := func() {
		os.Stdout.WriteString("here\n")
		select {}
	}
	s := &stores{world: connect(t, os.Getenv(envLedger), os.Getenv(envRedis)), at: func(step int) (error, error) {
		if step == last {
			wait()
		}
		return nil, nil
	}}
	if err := s.revoke(os.Getenv(envDigest)); err != nil {
		t.Fatal(err)
	}
	wait()
}
