package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// status sets the status of default/a.
func (e env) status(t *testing.T, status ledger.AccountStatus, reason string) ledger.Account {
	t.Helper()
	a, err := e.SetAccountStatus(t.Context(), "default/a", status, reason)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Nothing more is reserved of a suspended account; what it holds ends and is charged, and money may be added.
func TestSuspendedAccount(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		got, err := e.Reserve(t.Context(), reservation("req_1", 10))
		reserved(t, "before", got, err, [3]int64{10, 10, 90})
		before := got.Account

		suspended := e.status(t, ledger.AccountSuspended, "chargeback 4711")
		if !suspended.Suspended || suspended.Version <= before.Version || suspended.Balance != 100 {
			t.Errorf("suspended: %+v after %+v", suspended, before)
		}
		if again := e.status(t, ledger.AccountSuspended, "once more"); again != suspended {
			t.Errorf("suspended again: %+v, was %+v", again, suspended)
		}
		for what, r := range map[string]ledger.Reservation{
			"a new one": reservation("req_2", 1), "of nothing": reservation("req_3", 0),
			"beyond all": {RequestID: "req_4", Account: "default/a", Amount: 1, Owner: "o", ExpiresAt: soon, Overdraft: 1000},
		} {
			if got, err := e.Reserve(t.Context(), r); !errors.Is(err, ledger.ErrSuspended) || errors.Is(err, ledger.ErrInsufficient) || !got.Account.Suspended {
				t.Errorf("%s: %+v, %v", what, got, err)
			}
		}
		if _, err := e.ExtendReservation(t.Context(), "default/a", "req_1", 1, 1); !errors.Is(err, ledger.ErrSuspended) {
			t.Errorf("extending: %v", err)
		}
		got, err = e.Reserve(t.Context(), reservation("req_1", 10))
		reserved(t, "what was reserved", got, err, [3]int64{10, 10, 90})

		got, err = e.FinishReservation(t.Context(), settlement("req_1", "default/a", 7))
		reserved(t, "finished", got, err, [3]int64{7, 7, 93})
		settled := e.only(t, settlement("req_1", "default/a", 7))
		granted := e.grant(t, ledger.Grant{ID: "2", Amount: 5, Kind: ledger.GrantPromo})
		current, _, err := e.Current(t.Context(), "default/a")
		if err != nil || !current.Suspended || current.Balance != 98 || !settled.Account.Suspended || !granted.Suspended {
			t.Errorf("it goes on as %+v (%v), settled %+v, granted %+v", current, err, settled.Account, granted)
		}
		resumed := e.status(t, ledger.AccountActive, "paid")
		if resumed.Suspended || resumed.Version <= current.Version {
			t.Errorf("resumed: %+v after %+v", resumed, current)
		}
		got, err = e.Reserve(t.Context(), reservation("req_2", 98))
		reserved(t, "resumed", got, err, [3]int64{98, 98, 0})
		e.sound(t)
		e.reasons(t, "Suspended: chargeback 4711", "Active: paid")
	})
}

// reasons are those that the ledger keeps of statuses, in their order.
func (e env) reasons(t *testing.T, want ...string) {
	t.Helper()
	rows, err := e.raw.QueryContext(t.Context(), "SELECT reason FROM ledger_tx WHERE kind = 'status' AND idem_key LIKE 'status:default/a:%' ORDER BY idem_key")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var reason string
		if err := rows.Scan(&reason); err != nil {
			t.Fatal(err)
		}
		got = append(got, reason)
	}
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Errorf("reasons (-want +got):\n%s%v", diff, rows.Err())
	}
}

func TestSetAccountStatusRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 1)
		for name, c := range map[string]struct {
			account string
			status  ledger.AccountStatus
			reason  string
			want    error
		}{
			"nobody": {"default/b", ledger.AccountSuspended, "r", ledger.ErrNotFound}, "no reason": {"default/a", ledger.AccountSuspended, " ", nil},
			"no such status": {"default/a", "Closed", "r", nil}, "the system's": {"system/revenue", ledger.AccountSuspended, "r", nil},
		} {
			if a, err := e.SetAccountStatus(t.Context(), c.account, c.status, c.reason); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
		}
		if a, err := e.Account(t.Context(), "default/a"); err != nil || a.Suspended || e.number(t, "SELECT COUNT(*) FROM ledger_tx WHERE kind = 'status'") != 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
