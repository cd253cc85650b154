package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

func TestFollowed(t *testing.T) {
	var heard []string
	tidied := 0
	path := filepath.Join(t.TempDir(), "url")
	f := &followed{path: path, log: slog.New(slog.DiscardHandler), tidy: func() { tidied++ }, point: func(url string) error {
		if url == "bad" {
			return errors.New("bad")
		}
		heard = append(heard, url)
		return nil
	}}
	f.look() // there is no file
	for _, text := range []string{"a\n", "a", "bad", " ", "b", "b", "bad", "a"} {
		write(t, path, []byte(text))
		f.look()
	}
	if want := []string{"a", "b", "a"}; !slices.Equal(heard, want) || tidied != 9 {
		t.Errorf("pointed to %v, want %v; tidied %d times", heard, want, tidied)
	}
}

func TestFollowedRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "url")
	heard := make(chan string, 1)
	f := &followed{path: path, log: slog.New(slog.DiscardHandler), every: time.Millisecond, point: func(url string) error {
		heard <- url
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); f.run(ctx) }()
	write(t, path, []byte("late"))
	if got := <-heard; got != "late" {
		t.Errorf("pointed to %q", got)
	}
	cancel()
	<-ended
}

// opened notes when it is closed.
type opened struct {
	ledger.Ledger
	close func()
}

// Close implements ledger.Ledger.
func (o opened) Close() { o.close() }

// A ledger that is replaced is closed one look later, not under the calls that run on it; one that cannot be opened replaces none.
func TestBooks(t *testing.T) {
	var mu sync.Mutex
	var closed []string
	b := &books{open: func(url string) (ledger.Ledger, error) {
		if url == "bad" {
			return nil, errors.New("bad")
		}
		return opened{close: func() {
			mu.Lock()
			defer mu.Unlock()
			closed = append(closed, url)
		}}, nil
	}}
	if err := b.Ready(t.Context()); !errors.Is(err, errNoLedger) {
		t.Errorf("without a URL: %v", err)
	}
	if _, err := b.Account(t.Context(), "ns/acme"); !errors.Is(err, errNoLedger) {
		t.Errorf("without a URL: %v", err)
	}
	for _, step := range []struct {
		url  string
		fits bool
		want string
	}{{"a", true, "[]"}, {"bad", false, "[]"}, {"b", true, "[]"}, {"c", true, "[a]"}} {
		b.tidy()
		if err := b.point(step.url); (err == nil) != step.fits || fmt.Sprint(closed) != step.want {
			t.Errorf("%s: %v, closed %v, want %s", step.url, err, closed, step.want)
		}
	}
	b.close()
	if want := "[a b c]"; fmt.Sprint(closed) != want {
		t.Errorf("closed %v, want %s", closed, want)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, errNoLedger) {
		t.Errorf("after its end: %v", err)
	}
}

// The stores' URLs come late, and change while requests run: what this replica holds moves to the new Redis.
func TestStoresThatComeLate(t *testing.T) {
	dir := t.TempDir()
	o := Options{RedisURLFile: filepath.Join(dir, "redis"), LedgerURLFile: filepath.Join(dir, "ledger"), PodUID: "pod"}
	s, err := openStores(o, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	look := func() {
		for _, f := range s.follows {
			f.look()
		}
	}
	if s.admission.Ping(t.Context()) == nil || s.books.Ready(t.Context()) == nil {
		t.Error("answers without a URL")
	}
	url := "sqlite:" + filepath.Join(dir, "ledger.db")
	openLedger(t, url)
	write(t, o.RedisURLFile, []byte(testenv.Redis(t)))
	write(t, o.LedgerURLFile, []byte(url))
	look()
	if err := errors.Join(s.admission.Ping(t.Context()), s.books.Ready(t.Context()), s.admission.Renew(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := s.admission.Owners(); got != 1 {
		t.Errorf("%d owners", got)
	}
	write(t, o.RedisURLFile, []byte(testenv.Redis(t)))
	look()
	if err := s.admission.Renew(t.Context()); err != nil || s.admission.Owners() != 1 {
		t.Errorf("in another Redis: %v, %d owners", err, s.admission.Owners())
	}
}

func TestOwnerName(t *testing.T) {
	a, err := OwnerName("pod")
	b, err2 := OwnerName("pod")
	host, err3 := OwnerName("")
	if err := errors.Join(err, err2, err3); err != nil || a == b || a[:4] != "pod." || len(host) < 10 {
		t.Errorf("%q %q %q %v", a, b, host, err)
	}
}
