package server

import (
	"context"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

// brittle is a dialect that cannot cut.
type brittle struct{ chat.Dialect }

// Clamp panics.
func (brittle) Clamp(*chat.Request, int64) *chat.Request { panic("boom") }

// What panics after the hold is written gives the hold back, before anybody was called.
func TestPanicAfterAdmissionHoldsNothing(t *testing.T) {
	w := newWorld(t, long)
	w.key(goodKey, 30*usd)
	w.server.o.Dialects[chat.Completions] = brittle{w.server.o.Dialects[chat.Completions]}
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) {
		t.Error("the provider is called")
		return nil, errCut
	})
	if got := w.chat(open); got.status != 500 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	w.sound()
	if held := w.reserved(); held != 0 || w.balance() != 30*usd {
		t.Errorf("%d are held, the balance is %d", held, w.balance())
	}
}
