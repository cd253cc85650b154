package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger/cli"
)

// Whoever suspends an account at the ledger needs no gateway: within seconds all refuse it, and serve it again once it is resumed.
func TestAccountIsSuspended(t *testing.T) {
	r := newRig(t, 2, nil)
	r.everyone(1)
	ledger := func(args ...string) {
		t.Helper()
		cmd := cli.NewLedgerCommand()
		cmd.SetArgs(append(args, "--account", "ns/acme", "--ledger", r.database, "--reason", "chargeback 4711"))
		cmd.SetOut(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	answers := func(what string, status int, says string) {
		t.Helper()
		for replica := range r.apis {
			eventually(t, what, func() bool {
				got := r.ask(replica, hi)
				if got.status == http.StatusOK {
					r.sent++
				}
				return got.status == status && strings.Contains(got.body, says)
			})
		}
	}
	ledger("suspend")
	answers("suspended", http.StatusForbidden, `"code":"account_suspended"`)
	ledger("resume")
	answers("resumed", http.StatusOK, "")
	r.exact(0)
}
