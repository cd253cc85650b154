package server

import (
	"context"
	"errors"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// receipt is that of an answer; it may be written a moment later.
func (w *world) receipt(got reply) (r ledger.Receipt) {
	w.t.Helper()
	eventually(w.t, "a receipt", func() bool {
		var err error
		r, err = w.books.Receipt(w.t.Context(), account, got.header.Get(headerLayersRequestID))
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			w.t.Fatal(err)
		}
		return err == nil
	})
	return r
}

// digest is that of the good key.
func (w *world) digest() string { return keys.Digest(goodKey) }

// provider changes the providers, and publishes that.
func (w *world) provider(change func(*snapshot.Provider)) {
	w.t.Helper()
	x := *w.memory.Current().Snapshot
	x.Providers = append([]snapshot.Provider(nil), x.Providers...)
	for i := range x.Providers {
		change(&x.Providers[i])
	}
	if err := w.memory.Publish(&x); err != nil {
		w.t.Fatal(err)
	}
}

// sees answers, and shows the body that it got.
func sees(look func(body []byte)) upstream {
	return func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		look(c.Request.Body)
		return answers(1, 1)(ctx, c)
	}
}
