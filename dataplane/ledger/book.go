package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// book is what one transaction does to the accounts that it has locked: it is gathered in memory, and written by flush. Of
// every account that it changed, the remaining amounts of the grants then sum to the balance, or to zero below it.
type book struct {
	s        *store
	tx       sqldb.Tx
	now      int64
	accounts map[string]*account
	posts    [][]any // rows of ledger_tx
	entries  [][]any // rows of ledger_entries
	draws    [][]any // rows of grant_draws
	made     []*grant
	taken    map[*grant]bool
	// announced are accounts of whose change gateways hear.
	announced []string
	// carefully says that requests may have been settled before, and that usage rows may be there whose transactions are not.
	carefully bool
}

// account is a locked account and what the book does to it.
type account struct {
	Account

	held, drawnTo pricing.Nano
	add, release  pricing.Nano
	grants        []*grant // live ones, in the order in which they are drawn
	loaded        bool
	changed       bool
}

// balance is what the account has after what was done so far.
func (a *account) balance() pricing.Nano { return a.Balance + a.add }

// change gives amount to the account, which has entries elsewhere.
func (a *account) change(amount pricing.Nano) {
	a.add += amount
	a.changed = true
}

// grant is a row of credit_grants.
type grant struct {
	key, account, kind, reason, source string
	amount, remaining                  pricing.Nano
	priority                           int64
	createdAt, effectiveAt, expiresAt  int64
	pending                            bool
	uncounted                          bool // remaining is NULL
}

// openBook locks accounts, makes those that are missing, and answers a book of them. Those that are missing are made before
// any is locked, or two transactions might wait for each other.
func (s *store) openBook(ctx context.Context, tx sqldb.Tx, ids []string) (*book, error) {
	b := s.newBook(tx)
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	return b, tx.Run(ctx, append(b.making(ids), b.lock(ids))...)
}

// making makes accounts that are missing, at zero.
func (b *book) making(ids []string) []sqldb.Statement {
	rows := make([][]any, len(ids))
	for i, id := range ids {
		rows[i] = []any{id, b.s.nextVersion(0), b.now}
	}
	return insert(b.tx, "accounts (id, version, created_at)", rows, "ON CONFLICT DO NOTHING", nil)
}

func (s *store) newBook(tx sqldb.Tx) *book {
	return &book{s: s, tx: tx, now: s.now().UnixMicro(), accounts: map[string]*account{}, taken: map[*grant]bool{}}
}

// lock locks accounts in the order of their ids, so that two transactions never wait for each other.
func (b *book) lock(ids []string) sqldb.Statement {
	among, args := b.tx.Among(ids, 1)
	sql := "SELECT " + accountColumns + ", held, drawn_to FROM accounts WHERE id " + among + " ORDER BY id" + b.s.db.ForUpdate()
	return sqldb.Statement{SQL: sql, Args: args, Row: func(scan func(...any) error) error {
		a := new(account)
		err := a.scan(scan, &a.held, &a.drawnTo)
		b.accounts[a.ID] = a
		return err
	}}
}

// load reads the live grants of locked accounts and counts what a version that knows no draws has left uncounted.
func (b *book) load(ctx context.Context, ids []string) error {
	ids = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(ids))), func(id string) bool { return b.accounts[id].loaded })
	if len(ids) == 0 {
		return nil
	}
	if err := b.tx.Run(ctx, b.read(ids)); err != nil {
		return err
	}
	b.loaded(ids)
	return nil
}

// read reads the live grants of accounts that are locked, those that are there.
func (b *book) read(ids []string) sqldb.Statement {
	among, args := b.tx.Among(ids, 1)
	sql := "SELECT " + grantColumns + " FROM credit_grants WHERE account " + among + " AND live"
	return sqldb.Statement{SQL: sql, Args: args, Row: func(scan func(...any) error) error {
		g, err := scanGrant(scan)
		if err == nil {
			a := b.accounts[g.account]
			a.grants = append(a.grants, g)
		}
		return err
	}}
}

// loaded says that all live grants of accounts were read.
func (b *book) loaded(ids []string) {
	for _, id := range ids {
		a := b.accounts[id]
		a.loaded = true
		slices.SortFunc(a.grants, drawOrder)
		b.align(a)
	}
}

// drawOrder: by priority, then the soonest expiry, then the oldest.
func drawOrder(a, b *grant) int {
	expiry := func(g *grant) uint64 { return uint64(g.expiresAt) - 1 } // never is the latest
	return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(expiry(a), expiry(b)), cmp.Compare(a.createdAt, b.createdAt), cmp.Compare(a.key, b.key))
}

// align draws what the account spent while nobody drew, in a transaction of its own that has no entries.
func (b *book) align(a *account) {
	var sum pricing.Nano
	for _, g := range a.grants {
		if g.uncounted {
			g.uncounted, g.remaining = false, g.amount
			b.taken[g], a.changed = true, true
		}
		if !g.pending {
			sum += g.remaining
		}
	}
	over := sum - max(a.Balance, 0)
	if a.drawnTo == a.Balance || over <= 0 {
		return
	}
	key := fmt.Sprintf("align:%s:%d", a.ID, a.Version)
	b.post(key, kindAlign, "", "")
	for _, g := range a.grants {
		over -= b.take(a, g, key, over)
	}
}

// take draws up to amount from one grant and answers how much.
func (b *book) take(a *account, g *grant, tx string, amount pricing.Nano) pricing.Nano {
	amount = min(amount, g.remaining)
	if amount <= 0 || g.pending {
		return 0
	}
	g.remaining -= amount
	b.taken[g], a.changed = true, true
	b.draws = append(b.draws, []any{tx, g.key, amount})
	return amount
}

// post appends a transaction.
func (b *book) post(key, kind, reverses, reason string) {
	var of any
	if reverses != "" {
		of = reverses
	}
	b.posts = append(b.posts, []any{key, kind, b.now, of, reason})
}

// move appends the two entries of a transaction that gives amount to the account (takes it, below zero) from another one.
func (b *book) move(a *account, tx, other string, amount pricing.Nano) {
	if amount == 0 {
		return
	}
	a.change(amount)
	b.enter(tx, a.ID, systemPrefix+other, amount)
}

// enter appends the two entries that give an amount to one account and take it from another.
func (b *book) enter(tx, to, from string, amount pricing.Nano) {
	b.entries = append(b.entries, []any{tx, to, amount}, []any{tx, from, -amount})
}

// debit takes amount from the account for what happened at an instant: from grants that had not expired then, in their order. What they do
// not have makes the balance negative, after the other grants, whose time is over, were taken away. An instant after now is a
// clock that is ahead: it ends no grant before its time.
func (b *book) debit(a *account, tx, other string, amount pricing.Nano, at int64) {
	b.draw(a, tx, amount, at)
	b.enter(tx, a.ID, systemPrefix+other, -amount)
}

// draw is debit without the entries.
func (b *book) draw(a *account, tx string, amount pricing.Nano, at int64) {
	at = min(at, b.now)
	left := amount
	for _, g := range a.grants {
		if !g.expired(at) {
			left -= b.take(a, g, tx, left)
		}
	}
	if left > 0 {
		for _, g := range a.grants {
			b.expire(a, g)
		}
	}
	a.change(-amount)
}

func (g *grant) expired(at int64) bool { return g.expiresAt != 0 && g.expiresAt <= at }

// expire takes what remains of a grant, and no more.
func (b *book) expire(a *account, g *grant) {
	if rest := g.remaining; rest > 0 && !g.pending {
		key := "expire:" + g.key
		b.post(key, kindExpire, "", "")
		b.take(a, g, key, rest)
		b.move(a, key, "breakage", -rest)
	}
}

// credit gives a grant to its account: what the account owes is repaid first.
func (b *book) credit(a *account, g *grant, tx, other string) {
	debt := max(0, -a.balance())
	b.move(a, tx, other, g.amount)
	b.take(a, g, tx, debt)
}

// add makes a grant's row.
func (b *book) add(a *account, g *grant) {
	b.made = append(b.made, g)
	a.grants = append(a.grants, g)
	slices.SortFunc(a.grants, drawOrder)
}

// flush writes the book, and what else there is, and answers the accounts that it changed, as they are then.
func (b *book) flush(ctx context.Context, more ...sqldb.Statement) (map[string]Account, error) {
	made := make([][]any, len(b.made))
	for i, g := range b.made {
		made[i] = []any{g.key, g.account, g.kind, g.amount, g.reason, g.createdAt, g.remaining, g.source, g.priority, g.effectiveAt, g.expiresAt, g.pending}
		delete(b.taken, g)
	}
	after := map[string]Account{}
	all := slices.Concat(
		insert(b.tx, "ledger_tx (idem_key, kind, created_at, reverses, reason)", b.posts, "", nil),
		insert(b.tx, "credit_grants ("+grantColumns+")", made, "", nil),
		insert(b.tx, "grant_draws (tx, grant_key, amount)", b.draws, "", nil),
		insert(b.tx, "ledger_entries (tx, account, amount)", b.entries, "", nil),
		b.writeGrants(), b.writeAccounts(after), b.s.announcing(b.tx, b.announced), more)
	if len(all) == 0 {
		return after, nil
	}
	return after, b.tx.Run(ctx, all...)
}

// insert inserts rows; tail is what follows in the statement, row is called for each row that it answers.
func insert(tx sqldb.Tx, into string, rows [][]any, tail string, row func(func(...any) error) error) (all []sqldb.Statement) {
	for part := range slices.Chunk(rows, tx.Batch()) {
		source, args := tx.Values(part, 1)
		// Without a condition SQLite takes ON CONFLICT for a join's.
		all = append(all, sqldb.Statement{SQL: "INSERT INTO " + into + " SELECT * FROM " + source + " WHERE TRUE " + tail, Args: args, Row: row})
	}
	return all
}

// writeGrants writes what remains of the grants that were taken from or became effective.
func (b *book) writeGrants() (all []sqldb.Statement) {
	changed := slices.SortedFunc(maps.Keys(b.taken), func(a, b *grant) int { return cmp.Compare(a.key, b.key) })
	for part := range slices.Chunk(changed, b.tx.Batch()) {
		rows := make([][]any, len(part))
		for i, g := range part {
			rows[i] = []any{g.key, g.remaining, g.pending}
		}
		source, args := b.tx.Values(rows, 1)
		all = append(all, sqldb.Statement{SQL: "UPDATE credit_grants SET remaining = v.column2, pending = v.column3 FROM " + source + " WHERE idem_key = v.column1", Args: args})
	}
	return all
}

// writeAccounts adds to the balances and puts what they are then into after. Versions grow, and are no less than now.
func (b *book) writeAccounts(after map[string]Account) (all []sqldb.Statement) {
	var rows [][]any
	for _, id := range slices.Sorted(maps.Keys(b.accounts)) {
		a := b.accounts[id]
		if !a.changed && a.release == 0 {
			continue
		}
		if a.loaded {
			a.drawnTo = a.balance()
		}
		rows = append(rows, []any{id, a.add, a.release, a.drawnTo})
	}
	for part := range slices.Chunk(rows, b.tx.Batch()) {
		source, args := b.tx.Values(part, 2)
		sql := "UPDATE accounts SET balance = balance + v.column2, held = held - v.column3, drawn_to = v.column4, " +
			"version = CASE WHEN version < CAST($1 AS BIGINT) THEN CAST($1 AS BIGINT) ELSE version + 1 END FROM " + source + " WHERE id = v.column1 RETURNING " + accountColumns
		all = append(all, sqldb.Statement{SQL: sql, Args: append([]any{b.s.nextVersion(0)}, args...), Row: scanAccounts(after)})
	}
	return all
}
