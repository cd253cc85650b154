package transport

import (
	"context"
	"errors"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
)

const statusClientClosed = 499

// Errors of the way to the upstream. What went wrong in detail is for the log: it may name addresses of the inside.

func cancelled(ctx context.Context, cause error) *chat.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timeout(cause)
	}
	return &chat.Error{Status: statusClientClosed, Type: "api_error", Code: "request_cancelled", Message: "The request was cancelled.", Cause: cause}
}

func timeout(cause error) *chat.Error {
	return &chat.Error{
		Status: http.StatusGatewayTimeout, Type: "api_error", Code: "upstream_timeout", Fallback: true, Cause: cause,
		Message: "The upstream provider did not answer in time.",
	}
}

func unreachable(cause error) *chat.Error {
	var timed interface{ Timeout() bool }
	if errors.As(cause, &timed) && timed.Timeout() {
		return timeout(cause)
	}
	return &chat.Error{
		Status: http.StatusBadGateway, Type: "api_error", Code: "upstream_unreachable", Fallback: true, Cause: cause,
		Message: "The upstream provider could not be reached.",
	}
}

// Incomplete is for an answer that broke off.
func Incomplete(cause error) *chat.Error {
	return &chat.Error{
		Status: http.StatusBadGateway, Type: "api_error", Code: "upstream_incomplete", Fallback: true, Cause: cause,
		Message: "The upstream provider's answer broke off before its end.",
	}
}

// broken is failure for a read of the body: the upstream was reached.
func (w *watch) broken(err error) *chat.Error {
	e := w.failure(err)
	if e.Code == "upstream_unreachable" {
		return Incomplete(err)
	}
	return e
}
