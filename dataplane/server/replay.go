package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// headerIdempotency names a request: the same name again never calls an upstream twice.
const headerIdempotency = "Idempotency-Key"

// headerReceipt is where the receipt of a request is that was answered before.
const headerReceipt = "X-Layers-Receipt"

const (
	// claimKept is for how long a name is its request's.
	claimKept = 24 * time.Hour
	// claimStale is the age of a request, beyond its own time, at which one that has left no receipt never began: whoever had
	// claimed its name died before it held anything, or the reaper would have written one.
	claimStale = time.Hour
	maxName    = 255
)

// claim is the name that a request was given by its client, and what it claims it as.
type claim struct {
	account, name string
	// holder is the request's id and a hash of its body, so that another body under the name is told apart.
	holder string
	// kept says that the name stays the request's.
	kept bool
}

// claim takes the name that the client gave the request; nil: it gave none. In demo mode, where nothing is charged, nothing
// is recorded and everybody is one account, it means nothing; nor does it where nothing is generated.
func (e *exchange) claim() error {
	values := e.r.Header.Values(headerIdempotency)
	if len(values) == 0 {
		return nil
	}
	if len(values) > 1 || !visible(values[0]) {
		return errRequest("invalid_value", headerIdempotency, "The header "+headerIdempotency+" must be given once, with 1 to 255 visible characters.")
	}
	if e.demo() || e.req.Protocol == chat.CountTokens {
		return nil
	}
	c := &claim{
		account: e.key.Account, name: digest(e.key.ID, values[0], e.r.URL.Path),
		holder: e.rec.ID + " " + digest(string(e.req.Body))[:32],
	}
	ctx, cancel := e.question(nil).context()
	defer cancel()
	holder, err := e.s.o.Admitter.Claim(ctx, c.account, c.name, c.holder, claimKept)
	if err == nil && holder != c.holder {
		var stale bool
		if stale, err = e.replayed(ctx, c, holder); err == nil && stale {
			holder, err = e.takeOver(ctx, c, holder)
		}
	}
	if err != nil {
		return e.unclaimed(err)
	}
	if holder != c.holder {
		return errInProgress(holder)
	}
	e.claimed = c
	return nil
}

// unclaimed is an error as the client hears it: its own, or that of a store.
func (e *exchange) unclaimed(err error) error {
	var told *chat.Error
	if errors.As(err, &told) {
		return told
	}
	return errStore(err)
}

// visible says that a name has 1 to 255 characters that can be seen: ASCII, without spaces.
func visible(name string) bool {
	bad := func(r rune) bool { return r <= ' ' || r > '~' }
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, bad)
}

// digest is one hash of several texts.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		sum := sha256.Sum256([]byte(t))
		_, _ = h.Write(sum[:]) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// replayed judges a name that another request has: an error, or stale, where that one never began.
func (e *exchange) replayed(ctx context.Context, c *claim, holder string) (stale bool, err error) {
	id, body, _ := strings.Cut(holder, " ")
	if _, mine, _ := strings.Cut(c.holder, " "); body != mine {
		return false, &chat.Error{
			Status: http.StatusUnprocessableEntity, Type: typeRequest, Code: "idempotency_key_reused", Param: headerIdempotency,
			Message: "The " + headerIdempotency + " of this request was used with another body in the last 24 hours. Give each request its own.",
			Details: map[string]any{"request_id": id},
		}
	}
	_, err = e.s.o.Accounts.Receipt(ctx, c.account, id)
	if err == nil {
		e.w.Header().Set(headerReceipt, usagePath+id)
		e.w.Header().Set("X-Should-Retry", "false") // what the official SDKs heed: they try a 409 again
		return false, errProcessed(id)
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return false, errStore(err)
	}
	return e.stale(id), nil
}

// stale says that a request began so long ago that it would have a receipt by now. Its id tells when that was.
func (e *exchange) stale(id string) bool {
	parsed, err := uuid.Parse(strings.TrimPrefix(id, "req_"))
	if err != nil || parsed.Version() != 7 {
		return false
	}
	began := time.Unix(parsed.Time().UnixTime())
	return e.s.o.Now().Sub(began) > time.Duration(e.target.Times.TotalSeconds)*time.Second+claimStale
}

// takeOver claims a name again that its holder gives up, unless somebody else was faster.
func (e *exchange) takeOver(ctx context.Context, c *claim, holder string) (string, error) {
	if err := e.s.o.Admitter.GiveUp(ctx, c.account, c.name, holder); err != nil {
		return "", err
	}
	return e.s.o.Admitter.Claim(ctx, c.account, c.name, c.holder, claimKept)
}

// giveUp gives the name of a request back that was refused, or failed and cost nothing, so that it may be tried again. Where
// the store is away the name stays taken: rather a retry too few than an answer charged twice.
func (e *exchange) giveUp() {
	c := e.claimed
	if c == nil || c.kept {
		return
	}
	e.claimed = nil
	ctx, cancel := e.question(nil).context()
	defer cancel()
	if err := e.s.o.Admitter.GiveUp(ctx, c.account, c.name, c.holder); err != nil {
		e.s.o.Log.Warn("Idempotency key is not given up", "requestID", e.rec.ID, "error", err)
	}
}

// keep leaves the name to the request: it was answered, or charged.
func (e *exchange) keep() {
	if e.claimed != nil {
		e.claimed.kept = true
	}
}

func errInProgress(holder string) *chat.Error {
	id, _, _ := strings.Cut(holder, " ")
	return &chat.Error{
		Status: http.StatusConflict, Type: typeRequest, Code: "request_in_progress", Param: headerIdempotency, RetryAfter: retrySoon,
		Message: "A request with this " + headerIdempotency + " is running. Its receipt is there when it has ended.",
		Details: map[string]any{"request_id": id, "receipt": usagePath + id},
	}
}

func errProcessed(id string) *chat.Error {
	return &chat.Error{
		Status: http.StatusConflict, Type: typeRequest, Code: "already_processed", Param: headerIdempotency,
		Message: "A request with this " + headerIdempotency + " has been answered; it is not run again. Its receipt is at " + usagePath + id + ".",
		Details: map[string]any{"request_id": id, "receipt": usagePath + id},
	}
}
