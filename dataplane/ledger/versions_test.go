package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// anAccount is an account with the version that its row has now.
func (e env) anAccount(t *testing.T, id string, balance int64) ledger.Account {
	t.Helper()
	return ledger.Account{ID: id, Balance: balance, Version: e.number(t, "SELECT version FROM accounts WHERE id = '"+id+"'")}
}

// newer fails the test unless a version is newer than the one before it and no less than when its change began.
func newer(t *testing.T, what string, began time.Time, before, after int64) {
	t.Helper()
	if after <= before || after < began.UnixMicro() {
		t.Errorf("%s: version %d after %d, begun at %d", what, after, before, began.UnixMicro())
	}
}

// A ledger that was set back to an older copy of itself, or is another one, counts on from where the one before it may have
// been: what it changes is newer than all that was told before. A row that is ahead of the clock goes on by one.
func TestVersionsOfARestoredLedger(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		changes := map[string]func(i int) int64{
			"grant": func(i int) int64 {
				a, err := e.Grant(t.Context(), ledger.Grant{ID: fmt.Sprint("g", i), Account: "default/acme", Amount: 1, Kind: "manual"})
				if err != nil {
					t.Fatal(err)
				}
				return a.Version
			},
			"settlement": func(i int) int64 {
				return e.only(t, settlement(fmt.Sprint("req_", i), "default/acme", 1)).Account.Version
			},
			"key": func(i int) int64 {
				u := upsert("k1")
				u.Tier = fmt.Sprint("default/t", i)
				return e.upserted(t, u).Version
			},
		}
		n := 0
		for name, change := range changes {
			began := time.Now()
			told := change(n)
			newer(t, name+" of another ledger", began, 0, told)
			for _, sql := range []string{"UPDATE accounts SET version = 5", "UPDATE api_keys SET version = 5"} { // as the copy had it
				e.exec(t, sql)
			}
			n++
			newer(t, name+" of a restored ledger", began, told, change(n))
			ahead := time.Now().Add(time.Hour).UnixMicro()
			e.exec(t, fmt.Sprintf("UPDATE accounts SET version = %d", ahead))
			e.exec(t, fmt.Sprintf("UPDATE api_keys SET version = %d", ahead))
			n++
			if got := change(n); got != ahead+1 {
				t.Errorf("%s ahead of the clock: version %d after %d", name, got, ahead)
			}
			e.exec(t, "UPDATE accounts SET version = 5")
			e.exec(t, "UPDATE api_keys SET version = 5")
			n++
		}
	})
}
