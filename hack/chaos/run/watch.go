package run

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/hack/chaos/judge"
)

// watcher reads the admission store beside the gateways.
type watcher struct {
	client   rueidis.Client
	accounts []string
}

// watchPatience bounds one question.
const watchPatience = 3 * time.Second

func newWatcher(url string, accounts []string) (*watcher, error) {
	opt, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	opt.DisableCache, opt.DisableRetry, opt.ForceSingleClient, opt.ConnWriteTimeout = true, true, true, watchPatience
	opt.ClientName = "chaos"
	c, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("connecting to Redis: %w", err)
	}
	return &watcher{c, accounts}, nil
}

// again does what may fail once because the connection was cut.
func again(ctx context.Context, do func() error) (err error) {
	for range 20 {
		if err = do(); err == nil || !pause(ctx, 50*time.Millisecond) {
			return err
		}
	}
	return err
}

func key(account, what string) string { return "lyr:{" + account + "}:" + what }

// holds reads all holds.
func (w *watcher) holds(ctx context.Context) ([]judge.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	var cmds []rueidis.Completed
	for _, a := range w.accounts {
		cmds = append(cmds, w.client.B().Hgetall().Key(key(a, "holds")).Build())
	}
	var out []judge.Hold
	for i, r := range w.client.DoMulti(ctx, cmds...) {
		fields, err := r.AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("reading holds: %w", err)
		}
		out = append(out, parseHolds(w.accounts[i], fields)...)
	}
	return out, nil
}

// parseHolds reads the hash of an account's holds. Fields that are empty or have a space are sums.
func parseHolds(account string, fields map[string]string) (out []judge.Hold) {
	for id, value := range fields {
		if id == "" || strings.Contains(id, " ") {
			continue
		}
		words := strings.SplitN(value, " ", 6) // amount until running digest owner, and more
		h := judge.Hold{RequestID: id, Account: account}
		h.Amount, _ = strconv.ParseInt(words[0], 10, 64) // the scripts write integers
		h.Running = len(words) > 2 && words[2] == "1"
		if len(words) > 4 {
			h.Owner = words[4]
		}
		out = append(out, h)
	}
	return out
}

// pause has the store answer nothing that writes for so long, so that what is read then is what a fault meets.
func (w *watcher) pause(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	return w.client.Do(ctx, w.client.B().Arbitrary("CLIENT", "PAUSE", strconv.FormatInt(d.Milliseconds(), 10), "WRITE").Build()).Error()
}

// flush reads all holds and takes all keys away, in one step.
func (w *watcher) flush(ctx context.Context) ([]judge.Hold, error) {
	const script = "local all = {} for i, key in ipairs(KEYS) do all[i] = redis.call('HGETALL', key) end redis.call('FLUSHALL') return all"
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	var keys []string
	for _, a := range w.accounts {
		keys = append(keys, key(a, "holds"))
	}
	all, err := w.client.Do(ctx, w.client.B().Eval().Script(script).Numkeys(int64(len(keys))).Key(keys...).Build()).ToArray()
	if err != nil {
		return nil, fmt.Errorf("flushing Redis: %w", err)
	}
	var out []judge.Hold
	for i, one := range all {
		fields, err := one.AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("reading holds: %w", err)
		}
		out = append(out, parseHolds(w.accounts[i], fields)...)
	}
	return out, nil
}

func (w *watcher) scripts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	return w.client.Do(ctx, w.client.B().ScriptFlush().Build()).Error()
}

// drop ends all connections but its own.
func (w *watcher) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	return w.client.Do(ctx, w.client.B().Arbitrary("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Build()).Error()
}

// copies reads what the store has of each account.
func (w *watcher) copies(ctx context.Context) (map[string]judge.Copy, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	out := map[string]judge.Copy{}
	for _, a := range w.accounts {
		got := w.client.DoMulti(ctx, w.client.B().Hgetall().Key(key(a, "account")).Build(), w.client.B().Hgetall().Key(key(a, "holds")).Build(),
			w.client.B().Zcard().Key(key(a, "running")).Build())
		account, err := got[0].AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("reading a copy: %w", err)
		}
		holds, err := got[1].AsStrMap()
		if err != nil {
			return nil, fmt.Errorf("reading holds: %w", err)
		}
		c := judge.Copy{There: account["b"] != "", Holds: parseHolds(a, holds)}
		c.Spendable, _ = strconv.ParseInt(account["b"], 10, 64) // the scripts write integers
		c.Version, _ = strconv.ParseInt(account["v"], 10, 64)
		c.Sum, _ = strconv.ParseInt(holds[""], 10, 64)
		if c.Running, err = got[2].AsInt64(); err != nil {
			return nil, fmt.Errorf("counting slots: %w", err)
		}
		out[a] = c
	}
	return out, nil
}

// dump answers all keys of an account with what they hold, without when a copy was made.
func (w *watcher) dump(ctx context.Context, account string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	out := map[string]string{}
	for cursor := uint64(0); ; {
		found, err := w.client.Do(ctx, w.client.B().Scan().Cursor(cursor).Match("lyr:{"+account+"}:*").Count(1000).Build()).AsScanEntry()
		if err != nil {
			return nil, fmt.Errorf("scanning keys: %w", err)
		}
		for _, k := range found.Elements {
			if out[k], err = w.content(ctx, k); err != nil {
				return nil, err
			}
		}
		if cursor = found.Cursor; cursor == 0 {
			return out, nil
		}
	}
}

// content writes out what a key holds.
func (w *watcher) content(ctx context.Context, k string) (string, error) {
	kind, err := w.client.Do(ctx, w.client.B().Type().Key(k).Build()).ToString()
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	if kind != "hash" {
		return w.client.Do(ctx, w.client.B().Arbitrary("DUMP").Keys(k).Build()).ToString()
	}
	fields, err := w.client.Do(ctx, w.client.B().Hgetall().Key(k).Build()).AsStrMap()
	if err != nil {
		return "", fmt.Errorf("reading a hash: %w", err)
	}
	var out []string
	for name, value := range fields {
		if name != "at" { // when it was read again, which a refusal does
			out = append(out, name+"="+value)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " "), nil
}

// query runs one statement on a connection of its own and calls each for every row.
func query(ctx context.Context, url, sql string, each func(pgx.Rows) error, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("asking PostgreSQL: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("reading a row: %w", err)
		}
	}
	return rows.Err()
}
