package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// ErrInsufficient says that a reservation does not fit into what the account may spend.
var ErrInsufficient = errors.New("insufficient credits")

// ErrSuspended says that nothing more is held for requests of an account, because it is suspended.
var ErrSuspended = errors.New("the account is suspended")

// Reservation is money held for a request in the ledger itself.
type Reservation struct {
	RequestID string
	Account   string
	Amount    pricing.Nano // >= 0
	// Owner is whoever answers for it, ExpiresAt (microseconds) until when without renewing.
	Owner     string
	ExpiresAt int64
	// KeyDigest is whose request it is, for whoever settles it in its place; may be empty.
	KeyDigest string
	// Overdraft in nano-USD is how far below zero this request may bring the account, beside what the account itself may.
	Overdraft pricing.Nano
	// Divisor bounds all holds of the account to what may be spent / Divisor, because Redis may hold of the same money; 0 is 1.
	Divisor int64
	// Orphan is what to settle if nobody finishes the request, but for its Held and Charged, which Amount tells; may be nil.
	Orphan *Settlement
	// Finished says that the request has ended, Record is its settlement then; Unread is why the one of Orphan and Record that counts
	// cannot be read, and is nil then. Reserve ignores them.
	Finished bool
	Record   *Settlement
	Unread   error
}

// Reserved is an account and what is held of it after a reservation, or where it was refused.
type Reserved struct {
	Account Account
	// Held is the sum of the account's holds; Amount is what this request holds of it.
	Held, Amount pricing.Nano
	// Duplicate says that the request held before.
	Duplicate bool
}

// Available is what another reservation without a divisor could hold.
func (r Reserved) Available() pricing.Nano { return r.Account.Spendable() - r.Held }

// holdMore is the one statement that decides: it holds $2 more if that fits into what account $1 and an overdraft of $4 may
// spend, divided by $3, and nobody has suspended it.
const holdMore = "UPDATE accounts SET held = held + $2 WHERE id = $1 AND status = 'Active' AND held + $2 <= (balance + overdraft + $4) / $3 RETURNING " + accountColumns + ", held"

// readHeld reads an account and what is held of it.
const readHeld = "SELECT " + accountColumns + ", held FROM accounts WHERE id = $1"

func eachReserved(ctx context.Context, tx sqldb.Tx, sql string, args ...any) (r Reserved, found bool, err error) {
	err = tx.Each(ctx, sql, args, func(scan func(...any) error) error {
		found = true
		return r.Account.scan(scan, &r.Held)
	})
	return r, found, err
}

// Reserve holds money for a request.
func (s *store) Reserve(ctx context.Context, r Reservation) (Reserved, error) {
	r.Divisor = max(r.Divisor, 1)
	if err := checkReservation(r); err != nil {
		return Reserved{}, err
	}
	orphan, err := recordText(r.Orphan)
	if err != nil {
		return Reserved{}, err
	}
	var out Reserved
	err = s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		if out, err = s.again(ctx, tx, r); out.Duplicate || err != nil {
			return err
		}
		if out, err = hold(ctx, tx, r.Account, r.Amount, r.Divisor, r.Overdraft); err != nil {
			return err
		}
		out.Amount = r.Amount
		const sql = "INSERT INTO holds (request_id, account, amount, owner, expires_at, created_at, key_digest, overdraft, orphan) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		_, err = tx.Exec(ctx, sql, r.RequestID, r.Account, r.Amount, r.Owner, r.ExpiresAt, s.now().UnixMicro(), r.KeyDigest, r.Overdraft, orphan)
		return err
	})
	return out, wrap("reserving", err)
}

// checkReservation is why a reservation must not be made.
func checkReservation(r Reservation) error {
	switch {
	case r.RequestID == "" || len(r.RequestID) > maxText || r.Owner == "" || r.ExpiresAt <= 0:
		return fmt.Errorf("%w reservation %.40q by %q until %d", errInvalid, r.RequestID, r.Owner, r.ExpiresAt)
	case r.Amount < 0 || r.Amount > maxAmount || r.Overdraft < 0 || r.Overdraft > maxAmount:
		return fmt.Errorf("%w reservation %s of %d, overdraft %d", errInvalid, r.RequestID, r.Amount, r.Overdraft)
	case r.KeyDigest != "" && checkDigest(r.KeyDigest) != nil:
		return checkDigest(r.KeyDigest)
	case r.Orphan != nil && (r.Orphan.RequestID != r.RequestID || r.Orphan.Account != r.Account):
		return fmt.Errorf("%w reservation %s: its orphan is another request", errInvalid, r.RequestID)
	}
	return nil
}

// recordText is how a settlement is kept in a column; empty: none.
func recordText(e *Settlement) (string, error) {
	if e == nil {
		return "", nil
	}
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("writing the settlement of %s: %w", e.RequestID, err)
	}
	return string(text), nil
}

func readRecord(text string) (*Settlement, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	e := new(Settlement)
	if err := json.Unmarshal([]byte(text), e); err != nil {
		return nil, fmt.Errorf("reading a settlement: %w", err)
	}
	return e, nil
}

// again answers a request that holds already. It locks the account first, so that the same request is not admitted twice at once.
func (s *store) again(ctx context.Context, tx sqldb.Tx, r Reservation) (Reserved, error) {
	out, found, err := eachReserved(ctx, tx, readHeld+s.db.ForUpdate(), r.Account)
	if err == nil && !found {
		err = fmt.Errorf("account %s: %w", r.Account, ErrNotFound)
	}
	if err != nil {
		return Reserved{}, err
	}
	err = tx.Each(ctx, "SELECT amount, account FROM holds WHERE request_id = $1", []any{r.RequestID}, func(scan func(...any) error) error {
		out.Duplicate = true
		var account string
		if err := scan(&out.Amount, &account); err != nil {
			return err
		}
		if account != r.Account {
			return fmt.Errorf("request %s: %w", r.RequestID, ErrConflict)
		}
		return nil
	})
	return out, err
}

// hold runs the statement that decides; where it refuses it answers the account as it is.
func hold(ctx context.Context, tx sqldb.Tx, account string, amount pricing.Nano, divisor int64, overdraft pricing.Nano) (Reserved, error) {
	out, fits, err := eachReserved(ctx, tx, holdMore, account, amount, divisor, overdraft)
	if err != nil || fits {
		return out, err
	}
	out, found, err := eachReserved(ctx, tx, readHeld, account)
	switch {
	case err != nil:
		return Reserved{}, err
	case !found:
		return Reserved{}, fmt.Errorf("account %s: %w", account, ErrNotFound)
	case out.Account.Suspended:
		return out, fmt.Errorf("account %s: %w", account, ErrSuspended)
	default:
		return out, fmt.Errorf("account %s: %w", account, ErrInsufficient)
	}
}

// ExtendReservation holds more for a request that has not finished.
func (s *store) ExtendReservation(ctx context.Context, account, requestID string, more pricing.Nano, divisor int64) (Reserved, error) {
	if more <= 0 || more > maxAmount {
		return Reserved{}, fmt.Errorf("%w extension of %s by %d", errInvalid, requestID, more)
	}
	var out Reserved
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		if _, _, err := eachReserved(ctx, tx, readHeld+s.db.ForUpdate(), account); err != nil {
			return err
		}
		overdraft, err := one(ctx, tx, requestID, "SELECT overdraft FROM holds WHERE request_id = $1 AND account = $2 AND NOT finished", requestID, account)
		if err != nil {
			return err
		}
		if out, err = hold(ctx, tx, account, more, max(divisor, 1), overdraft); err != nil {
			return err
		}
		const sql = "UPDATE holds SET amount = amount + $3 WHERE request_id = $1 AND account = $2 AND NOT finished RETURNING amount"
		out.Amount, err = one(ctx, tx, requestID, sql, requestID, account, more)
		return err
	})
	return out, wrap("extending a reservation", err)
}

// one is the one number that a statement on a request's hold answers; ErrNotFound: there is no such hold.
func one(ctx context.Context, tx sqldb.Tx, requestID, sql string, args ...any) (n pricing.Nano, err error) {
	found := false
	err = tx.Each(ctx, sql, args, func(scan func(...any) error) error {
		found = true
		return scan(&n)
	})
	if err == nil && !found {
		err = fmt.Errorf("reservation of %s: %w", requestID, ErrNotFound)
	}
	return n, err
}

// FinishReservation makes the hold what the request cost. A second call changes nothing.
func (s *store) FinishReservation(ctx context.Context, e Settlement) (Reserved, error) {
	if err := checkSettlement(e); err != nil {
		return Reserved{}, err
	}
	record, err := recordText(&e)
	if err != nil {
		return Reserved{}, err
	}
	var out Reserved
	err = s.db.Write(ctx, func(tx sqldb.Tx) error {
		if _, _, err := eachReserved(ctx, tx, readHeld+s.db.ForUpdate(), e.Account); err != nil {
			return err
		}
		held, err := one(ctx, tx, e.RequestID, "SELECT amount FROM holds WHERE request_id = $1 AND account = $2", e.RequestID, e.Account)
		if err != nil {
			return err
		}
		done, err := tx.Exec(ctx, "UPDATE holds SET amount = $2, record = $3, finished = TRUE WHERE request_id = $1 AND NOT finished", e.RequestID, e.Charged, record)
		if err != nil {
			return err
		}
		if out.Duplicate = done == 0; !out.Duplicate {
			if _, err := tx.Exec(ctx, "UPDATE accounts SET held = held + $2 WHERE id = $1", e.Account, e.Charged-held); err != nil {
				return err
			}
			held = e.Charged
		}
		duplicate := out.Duplicate
		out, _, err = eachReserved(ctx, tx, readHeld, e.Account)
		out.Amount, out.Duplicate = held, duplicate
		return err
	})
	return out, wrap("finishing a reservation", err)
}

// ReleaseReservation takes a hold away.
func (s *store) ReleaseReservation(ctx context.Context, account, requestID string) error {
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		if _, _, err := eachReserved(ctx, tx, readHeld+s.db.ForUpdate(), account); err != nil {
			return err
		}
		amount, err := one(ctx, tx, requestID, "DELETE FROM holds WHERE request_id = $1 AND account = $2 RETURNING amount", requestID, account)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil {
			_, err = tx.Exec(ctx, "UPDATE accounts SET held = held - $2 WHERE id = $1", account, amount)
		}
		return err
	})
	return wrap("releasing a reservation", err)
}

// RenewReservations gives an owner's unfinished holds more time.
func (s *store) RenewReservations(ctx context.Context, owner string, until int64) (int, error) {
	var n int64
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE holds SET expires_at = $2 WHERE owner = $1 AND NOT finished", owner, until)
		return err
	})
	return int(n), wrap("renewing reservations", err)
}

// ExpiredReservations answers holds whose time is over. What cannot be read of one keeps nobody from the others.
func (s *store) ExpiredReservations(ctx context.Context, limit int) ([]Reservation, error) {
	var out []Reservation
	const sql = "SELECT request_id, account, amount, owner, expires_at, key_digest, overdraft, finished, orphan, record FROM holds WHERE expires_at <= $1 ORDER BY expires_at, request_id LIMIT $2"
	err := s.db.Each(ctx, sql, []any{s.now().UnixMicro(), limit}, func(scan func(...any) error) error {
		var r Reservation
		var orphan, record string
		err := scan(&r.RequestID, &r.Account, &r.Amount, &r.Owner, &r.ExpiresAt, &r.KeyDigest, &r.Overdraft, &r.Finished, &orphan, &record)
		if err != nil {
			return err
		}
		r.Orphan, r.Unread = readRecord(orphan)
		if r.Record, err = readRecord(record); r.Finished {
			r.Unread = err
		}
		out = append(out, r)
		return nil
	})
	return out, wrap("reading expired reservations", err)
}

// releaseHolds takes away what is held here for requests that are settled. Accounts that hold nothing, which they do while
// Redis is well, are not looked for. A reservation that is finished outlives the charge of an orphan: it tells of the
// request's real end, which adjusts that charge.
func (b *book) releaseHolds(ctx context.Context, settled []Settlement, fresh map[string]bool) error {
	var ended, orphaned []string
	for _, e := range settled {
		switch {
		case b.accounts[e.Account].held == 0 && fresh[e.RequestID]: // whoever settles again may have found a hold of nothing
		case e.Evidence == EvidenceOrphan:
			orphaned = append(orphaned, e.RequestID)
		default:
			ended = append(ended, e.RequestID)
		}
	}
	if err := b.deleteHolds(ctx, ended, ""); err != nil {
		return err
	}
	return b.deleteHolds(ctx, orphaned, " AND NOT finished")
}

func (b *book) deleteHolds(ctx context.Context, ids []string, which string) error {
	for part := range slices.Chunk(ids, b.tx.Batch()) {
		among, args := b.tx.Among(part, 1)
		err := b.tx.Each(ctx, "DELETE FROM holds WHERE request_id "+among+which+" RETURNING account, amount", args, func(scan func(...any) error) error {
			var id string
			var amount pricing.Nano
			if err := scan(&id, &amount); err != nil {
				return err
			}
			a, locked := b.accounts[id]
			if !locked {
				return fmt.Errorf("a reservation of account %s under a request of another: %w", id, ErrConflict)
			}
			a.release += amount
			b.announce(id) // a reservation is not found again by whoever confirms in its settler's place
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
