package server

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// mute is a store that does what it is told and, while it is mute, does not say so.
type mute struct {
	*admit.Redis
	muted atomic.Bool
}

// Admit implements admit.Admitter.
func (m *mute) Admit(ctx context.Context, q admit.Request) (admit.Decision, error) {
	d, err := m.Redis.Admit(ctx, q)
	if m.muted.Load() {
		return admit.Decision{}, errors.New("no answer")
	}
	return d, err
}

// Release implements admit.Admitter.
func (m *mute) Release(ctx context.Context, account, id string) error {
	if m.muted.Load() {
		return errors.New("no answer")
	}
	return m.Redis.Release(ctx, account, id)
}

// An admission that ran although nobody heard of it leaves no hold.
func TestUnheardAdmission(t *testing.T) {
	store := &mute{}
	w := newWorld(t, func(o *Options, _ *snapshot.Snapshot) {
		store.Redis = o.Admitter.(*admit.Redis)
		o.Admitter = store
	})
	w.key(goodKey, usd)
	w.serve(answers(1, 1))
	if got := w.chat(hello); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	store.muted.Store(true)
	if got := w.chat(hello); got.status != http.StatusServiceUnavailable {
		t.Fatalf("%d %s", got.status, got.body)
	}
	eventually(t, "release", func() bool { return w.reserved() == 0 })
}
