package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/limits"
	"github.com/layers-dev/layers/dataplane/server/observe"
)

// usagePath is followed by a request's id, as X-Layers-Request-Id told it.
const usagePath = "/v1/usage/"

// receipt is the body of GET /v1/usage/{request_id}.
type receipt struct {
	ID                string `json:"id"`
	Object            string `json:"object"`
	Account           string `json:"account"`
	APIKey            string `json:"api_key"`
	Model             string `json:"model"`
	Provider          string `json:"provider"`
	Backend           string `json:"backend"`
	ProviderRequestID string `json:"provider_request_id,omitempty"`
	Status            int    `json:"status"`
	Stream            bool   `json:"stream"`
	// Disconnect says what became of the call whose client left: cancelled, or drained for its usage.
	Disconnect string `json:"disconnect,omitempty"`
	// Evidence is reported, estimated, free or orphan.
	Evidence   string `json:"evidence"`
	StartedAt  string `json:"started_at"`
	FinishedAt string `json:"finished_at"`
	Tokens     tokens `json:"tokens"`
	// Searches is how often the provider's web search was used.
	Searches int64             `json:"searches,omitempty"`
	Lines    []line            `json:"lines"`
	Prices   string            `json:"price_version,omitempty"`
	Hold     map[string]string `json:"hold"`
	Cost     map[string]string `json:"cost"`
	Charge   map[string]string `json:"charge"`
	// Transaction is the ledger's; absent where nothing was charged.
	Transaction string `json:"transaction,omitempty"`
}

// tokens are by class, each token in one: reasoning is a part of output.
type tokens struct {
	Input      int64 `json:"input"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
	// CacheWrite1h were written to a cache that is kept for an hour, and are not in CacheWrite.
	CacheWrite1h int64 `json:"cache_write_1h,omitempty"`
	Output       int64 `json:"output"`
	Reasoning    int64 `json:"reasoning"`
}

// line is one row of a bill; its amount is rounded down, the total once, upwards.
type line struct {
	Kind          string            `json:"kind"`
	Quantity      int64             `json:"quantity"`
	USDPerMillion string            `json:"usd_per_million"`
	Amount        map[string]string `json:"amount"`
	// Markup is what the amount is multiplied by besides; absent: nothing.
	Markup string `json:"markup,omitempty"`
}

func linesOf(from []pricing.Line, perDollar int64) []line {
	out := make([]line, 0, len(from))
	for _, l := range from {
		out = append(out, line{Kind: l.Kind, Quantity: l.Quantity, USDPerMillion: pricing.FormatUSD(l.UnitPrice), Amount: limits.Amount(l.Amount, perDollar), Markup: l.Markup})
	}
	return out
}

// usage shows the receipt of a request of the key's own account; of another account's there is none.
func (s *Server) usage(w *answer, r *http.Request, rec *observe.Record) error {
	c, err := s.reader(w, r, rec)
	if err != nil {
		return err
	}
	if err := c.may(scopeUsage); err != nil {
		return err
	}
	id := strings.TrimPrefix(r.URL.Path, usagePath)
	if c.demo() || !goodID.MatchString(id) {
		return errNoReceipt(id)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.o.StoreTimeout)
	defer cancel()
	row, err := s.o.Accounts.Receipt(ctx, c.key.Account, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return errNoReceipt(id)
	}
	if err != nil {
		return errStore(err)
	}
	rec.Model = row.Model
	body, err := json.Marshal(receiptOf(row, c.x.CreditsPerDollar))
	if err != nil {
		return err
	}
	s.writeJSON(w, body)
	return nil
}

func receiptOf(row ledger.Receipt, perDollar int64) receipt {
	amount := func(n pricing.Nano) map[string]string { return limits.Amount(n, perDollar) }
	at := func(micro int64) string { return time.UnixMicro(micro).UTC().Format(time.RFC3339Nano) }
	u := row.Usage
	return receipt{
		ID: row.RequestID, Object: "usage.receipt", Account: row.Account, APIKey: row.KeyID,
		Model: row.Model, Provider: row.Provider, Backend: row.Backend, ProviderRequestID: row.UpstreamID,
		Status: row.Status, Stream: row.Stream, Disconnect: row.Disconnect, Evidence: string(row.Evidence), StartedAt: at(row.StartedAt), FinishedAt: at(row.FinishedAt),
		Tokens:   tokens{Input: u.Input, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite, CacheWrite1h: u.CacheWrite1h, Output: u.Output, Reasoning: u.Reasoning},
		Searches: u.Searches,
		Lines:    linesOf(row.Lines, perDollar), Prices: row.PriceVersion,
		Hold: amount(row.Held), Cost: amount(row.Cost), Charge: amount(row.Charged), Transaction: row.TxID,
	}
}

func errNoReceipt(id string) *chat.Error {
	return &chat.Error{
		Status: http.StatusNotFound, Type: typeRequest, Code: "receipt_not_found", Param: "request_id",
		Message: "There is no receipt of the request '" + clip(id, 128) + "' in the account of this API key. A receipt is there when its request has ended; its id is the answer's header X-Layers-Request-Id.",
	}
}
