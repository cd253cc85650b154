package gateway

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// fakeStore notes when it is closed.
type fakeStore struct {
	url    string
	closed func(url string)
}

// Close implements closer.
func (f fakeStore) Close() { f.closed(f.url) }

func TestFollowed(t *testing.T) {
	var mu sync.Mutex
	var closed []string
	path := filepath.Join(t.TempDir(), "url")
	f := newFollowed(path, slog.New(slog.DiscardHandler), func(url string) (fakeStore, error) {
		if url == "bad" {
			return fakeStore{}, errors.New("bad")
		}
		return fakeStore{url, func(url string) {
			mu.Lock()
			defer mu.Unlock()
			closed = append(closed, url)
		}}, nil
	})
	if _, err := f.store(); !errors.Is(err, errNoStore) {
		t.Errorf("without a file: %v", err)
	}
	for _, step := range []struct{ file, want string }{{"a\n", "a"}, {"a", "a"}, {"bad", "a"}, {" ", "a"}, {"b", "b"}, {"b", "b"}} {
		write(t, path, []byte(step.file))
		f.look()
		if s, err := f.store(); err != nil || s.url != step.want {
			t.Errorf("file %q: %v %v, want %s", step.file, s.url, err, step.want)
		}
	}
	f.close()
	// The replaced one is closed one look later, not under the calls that run on it.
	if want := []string{"a", "b"}; !slices.Equal(closed, want) {
		t.Errorf("closed %v, want %v", closed, want)
	}
}

func TestFollowedRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "url")
	f := newFollowed(path, slog.New(slog.DiscardHandler), func(url string) (fakeStore, error) {
		return fakeStore{url, func(string) {}}, nil
	})
	f.every = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); f.run(ctx) }()
	write(t, path, []byte("late"))
	eventually(t, "store", func() bool { s, err := f.store(); return err == nil && s.url == "late" })
	cancel()
	<-ended
}
