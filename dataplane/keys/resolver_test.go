package keys

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// rows is a ledger that counts how often it is read.
type rows struct {
	mu    sync.Mutex
	rows  map[string]ledger.Key
	reads int
	err   error
	gate  chan struct{} // where not nil, reads wait here
}

func (r *rows) KeyByDigest(ctx context.Context, digest string) (ledger.Key, error) {
	r.mu.Lock()
	r.reads++
	k, ok := r.rows[digest]
	err, gate := r.err, r.gate
	r.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ledger.Key{}, ctx.Err()
		}
	}
	if err == nil && !ok {
		err = fmt.Errorf("reading: %w", ledger.ErrNotFound)
	}
	return k, err
}

func (r *rows) set(k ledger.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows[k.Digest] = k
}

func (r *rows) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads
}

// memory is a shared cache; it ages by the fixture's clock.
type memory struct {
	mu     sync.Mutex
	values map[string]string
	until  map[string]time.Time
	now    func() time.Time
	err    error
}

func (m *memory) Get(_ context.Context, key string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v, ok && m.now().Before(m.until[key]), m.err
}

func (m *memory) Set(_ context.Context, key, value string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.values[key], m.until[key] = value, m.now().Add(ttl)
	}
	return m.err
}

func (m *memory) Del(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		delete(m.values, key)
	}
	return m.err
}

// fixture is two replicas on one store and one shared cache, with a clock.
type fixture struct {
	t     *testing.T
	store *rows
	cache *memory
	a, b  *Resolver

	mu  sync.Mutex
	now time.Time
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

var row = ledger.Key{
	ID: "key_1", Digest: Digest(declared), Prefix: Prefix(declared), Name: "ns/k", Account: "ns/acme", Tier: "ns/t", Policy: "ns/p",
	State: ledger.KeyActive, Version: 3, Source: "kubernetes", ClusterUID: "c", GatewayUID: "g", ObjectUID: "o", ObjectName: "ns/k",
	UserID: "u", Scopes: []string{"Inference"}, Models: []string{"m"}, CapAmount: 5, CapPeriod: "Day", ExpiresAt: 1_900_000_000_000_000, Rotation: 2, FirstDigest: "first",
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, now: time.UnixMicro(1_800_000_000_000_000)}
	f.store = &rows{rows: map[string]ledger.Key{row.Digest: row}}
	f.cache = &memory{values: map[string]string{}, until: map[string]time.Time{}, now: f.clock}
	o := Options{Store: f.store, Cache: f.cache, Now: f.clock, Size: 100, UnknownSize: 10}
	f.a, f.b = NewResolver(o), NewResolver(o)
	return f
}

func (f *fixture) want(r *Resolver, digest string, want ledger.Key, wantErr error, reads int) {
	f.t.Helper()
	before := f.store.count()
	k, err := r.Lookup(context.Background(), digest)
	wantKey(f.t, k, err, want, wantErr)
	if n := f.store.count() - before; n != reads {
		f.t.Fatalf("%d store reads, want %d", n, reads)
	}
}

func wantKey(t *testing.T, k ledger.Key, err error, want ledger.Key, wantErr error) {
	t.Helper()
	if diff := cmp.Diff(want, k); diff != "" {
		t.Fatalf("key (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantErr, err, cmpopts.EquateErrors()); diff != "" {
		t.Fatalf("error (-want +got):\n%s", diff)
	}
}

func TestLookup(t *testing.T) {
	f := newFixture(t)
	f.want(f.a, row.Digest, row, nil, 1)
	f.want(f.a, row.Digest, row, nil, 0)
	f.pass(MaxAge - time.Second)
	f.want(f.a, row.Digest, row, nil, 0)
	f.want(f.b, row.Digest, row, nil, 0) // from the shared cache
	f.pass(time.Second)
	f.want(f.b, row.Digest, row, nil, 1) // no later than a minute after the store said so, although b just got it
	f.want(f.a, row.Digest, row, nil, 0)
}

func TestUnknown(t *testing.T) {
	f := newFixture(t)
	none := ledger.Key{}
	f.want(f.a, "d", none, ErrUnknown, 1)
	f.want(f.a, "d", none, ErrUnknown, 0)
	f.want(f.b, "d", none, ErrUnknown, 1) // what is unknown is not shared
	f.pass(MaxAgeUnknown)
	f.want(f.a, "d", none, ErrUnknown, 1)
	made := ledger.Key{ID: "key_2", Digest: "d", Account: "ns/x", State: ledger.KeyDisabled, Version: 1}
	f.store.set(made)
	f.want(f.a, "d", none, ErrUnknown, 0)
	f.pass(MaxAgeUnknown)
	f.want(f.a, "d", made, nil, 1)
	f.want(f.b, "d", made, nil, 0) // what is known is shared
}

func TestGarbageIsBounded(t *testing.T) {
	f := newFixture(t)
	f.want(f.a, row.Digest, row, nil, 1)
	for i := range 1000 {
		f.want(f.a, fmt.Sprint(i), ledger.Key{}, ErrUnknown, 1)
	}
	if n := f.a.unknown.len(); n != 10 {
		t.Errorf("%d unknown digests are remembered, want 10", n)
	}
	f.want(f.a, row.Digest, row, nil, 0) // garbage pushes nothing out
	for i := range 1000 {
		f.store.set(ledger.Key{ID: "k", Digest: fmt.Sprint(i), Account: "ns/x", State: ledger.KeyActive})
	}
	f.pass(MaxAgeUnknown)
	for i := range 1000 {
		if _, err := f.a.Lookup(context.Background(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.a.known.len(); n != 100 {
		t.Errorf("%d keys are remembered, want 100", n)
	}
}

func TestUnavailable(t *testing.T) {
	f := newFixture(t)
	f.want(f.b, row.Digest, row, nil, 1)
	f.store.err = errors.New("down")
	f.want(f.a, row.Digest, row, nil, 0)
	f.want(f.a, "other", ledger.Key{}, ErrUnavailable, 1)
	f.want(f.a, "other", ledger.Key{}, ErrUnavailable, 1) // an error is not remembered
	f.store.err = nil
	f.cache.err = errors.New("down too")
	f.pass(MaxAge)
	f.want(f.a, row.Digest, row, nil, 1) // a lost cache costs a read
	if err := f.a.Forget(context.Background(), row.Digest); err == nil {
		t.Error("Forget says nothing of the lost cache")
	}
}

func TestReloadAndForget(t *testing.T) {
	f, ctx := newFixture(t), context.Background()
	f.want(f.a, row.Digest, row, nil, 1)
	f.want(f.b, row.Digest, row, nil, 0)
	changed := row
	changed.Version, changed.State = 4, ledger.KeyRevoked
	f.store.set(changed)
	f.pass(time.Second)
	f.want(f.a, row.Digest, row, nil, 0)
	k, err := f.a.Reload(ctx, row.Digest)
	wantKey(t, k, err, changed, nil)
	f.want(f.a, row.Digest, changed, nil, 0)
	f.want(f.b, row.Digest, row, nil, 0)
	if err := f.b.Forget(ctx, row.Digest); err != nil {
		t.Fatal(err)
	}
	f.want(f.b, row.Digest, changed, nil, 1)
	_, err = f.b.Reload(ctx, "none")
	wantKey(t, ledger.Key{}, err, ledger.Key{}, ErrUnknown)
	older := row // a store that was restored: what was read last holds
	f.store.set(older)
	f.pass(time.Second)
	k, err = f.a.Reload(ctx, row.Digest)
	wantKey(t, k, err, older, nil)
	f.want(f.a, row.Digest, older, nil, 0)
}

func TestManyAtOnceReadOnce(t *testing.T) {
	f := newFixture(t)
	f.store.gate = make(chan struct{})
	leaving, leave := context.WithCancel(context.Background())
	first := make(chan error)
	go func() {
		_, err := f.a.Lookup(leaving, row.Digest)
		first <- err
	}()
	wait(t, func() bool { return f.store.count() == 1 })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			k, err := f.a.Lookup(context.Background(), row.Digest)
			if err != nil || !cmp.Equal(k, row) {
				t.Errorf("%+v, %v", k, err)
			}
		})
	}
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(f.store.gate)
	wg.Wait()
	if n := f.store.count(); n != 1 {
		t.Errorf("%d store reads, want 1", n)
	}
}

// Reload never answers with a read that began before it was asked.
func TestReloadIsNotOlderThanItsCall(t *testing.T) {
	f, ctx := newFixture(t), context.Background()
	gate := make(chan struct{})
	f.store.gate = gate
	early := make(chan ledger.Key)
	go func() {
		k, err := f.a.Reload(ctx, row.Digest)
		if err != nil {
			t.Error(err)
		}
		early <- k
	}()
	wait(t, func() bool { return f.store.count() == 1 }) // it has seen version 3
	changed := row
	changed.Version = 4
	f.store.set(changed)
	late := make(chan ledger.Key)
	go func() {
		k, err := f.a.Reload(ctx, row.Digest)
		if err != nil {
			t.Error(err)
		}
		late <- k
	}()
	close(gate)
	wantKey(t, <-early, nil, row, nil)
	wantKey(t, <-late, nil, changed, nil)
}

func wait(t *testing.T, until func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !until(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it never happens")
		}
	}
}

func TestRace(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 200 {
				r, digest := f.a, fmt.Sprint(n%20)
				if i%2 == 0 {
					r, digest = f.b, row.Digest
				}
				switch _, err := r.Lookup(context.Background(), digest); {
				case digest == row.Digest && err != nil, digest != row.Digest && !errors.Is(err, ErrUnknown):
					t.Errorf("%s: %v", digest, err)
				}
				switch n % 50 {
				case 7:
					f.pass(time.Second)
				case 13:
					if err := r.Forget(context.Background(), digest); err != nil {
						t.Error(err)
					}
				case 21:
					_, _ = r.Reload(context.Background(), digest)
				}
			}
		})
	}
	wg.Wait()
}

func TestRecord(t *testing.T) {
	at := time.UnixMicro(1_800_000_000_123_456)
	text := newRecord(row, at).encode()
	for v, i := reflect.ValueOf(row), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("the test's row says nothing of %s", v.Type().Field(i).Name)
		}
	}
	got, ok := decode(text, row.Digest)
	if diff := cmp.Diff(row, got.key()); diff != "" {
		t.Errorf("a record loses %s", diff)
	}
	if diff := cmp.Diff(newRecord(row, at), got); !ok || diff != "" {
		t.Errorf("ok %v, %s", ok, diff)
	}
	for name, bad := range map[string]string{
		"empty": "", "no JSON": "{", "another format": strings.Replace(text, `"format":3`, `"format":2`, 1),
		"no account": strings.Replace(text, "ns/acme", "", 1), "no state": strings.Replace(text, "active", "", 1),
	} {
		if _, ok := decode(bad, row.Digest); ok {
			t.Errorf("%s: is a record", name)
		}
	}
	if _, ok := decode(text, "other"); ok {
		t.Error("is a record of another digest")
	}
	if newRecord(row, at).fresh(at.Add(MaxAge)) || newRecord(row, at.Add(MaxAge)).fresh(at) || !newRecord(row, at).fresh(at.Add(MaxAge-1)) {
		t.Error("fresh for something else than a minute")
	}
}
