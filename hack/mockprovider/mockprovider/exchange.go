package mockprovider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// exchange is one request being answered.
type exchange struct {
	w       http.ResponseWriter
	ctx     context.Context
	n       int
	dialect dialect
	in      request
	script  script
	served  Served
}

func (e *exchange) answer() {
	if e.script.hang {
		<-e.ctx.Done()
		return
	}
	if !e.wait(e.script.delay) {
		return
	}
	switch {
	case e.script.html:
		e.write(max(e.script.status, http.StatusOK), "text/html; charset=utf-8", "<!DOCTYPE html><html><body>mock page</body></html>")
	case e.script.garbage:
		e.write(http.StatusOK, "application/json", "mock garbage")
	case e.script.status >= 300:
		e.fail(e.asked())
	case e.in.Stream:
		e.stream()
	default:
		e.unary()
	}
}

// wait pauses; false: the caller went.
func (e *exchange) wait(d time.Duration) bool {
	if d <= 0 {
		return e.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-e.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (e *exchange) write(status int, contentType, body string) {
	e.served.Status = status
	e.w.Header().Set("Content-Type", contentType)
	e.w.WriteHeader(status)
	_, err := io.WriteString(e.w, body)
	e.served.Complete = err == nil
}

// asked is the error that the script asks for.
func (e *exchange) asked() failure {
	f := failure{status: e.script.status, code: e.script.code, message: e.script.message, retryAfter: e.script.retryAfter}
	if f.message == "" {
		f.message = fmt.Sprintf("mock error %d", f.status)
	}
	return f
}

func (e *exchange) fail(f failure) {
	e.write(f.status, "application/json", string(encode(e.dialect.failure(e.w.Header(), e.served.ID, f))))
}

// unary sends a whole answer.
func (e *exchange) unary() {
	usage := e.usage()
	body := string(encode(e.dialect.unary(e)))
	e.served.Usage = &usage
	if e.script.disconnect >= 0 {
		e.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		e.write(http.StatusOK, "application/json", body[:len(body)/2])
		e.served.Complete = false
		return
	}
	e.write(http.StatusOK, "application/json", body)
	e.served.Reported = !e.script.noUsage && e.served.Complete
}

// stream sends an answer as events.
func (e *exchange) stream() {
	usage := e.usage()
	e.served.Status, e.served.Usage = http.StatusOK, &usage
	events := e.dialect.events(e)
	e.w.Header().Set("Content-Type", "text/event-stream")
	e.w.WriteHeader(http.StatusOK)
	if !e.send(events) {
		return
	}
	e.served.Complete = true
	e.served.Reported = e.in.Usage && !e.script.noUsage
	if !e.script.noDone {
		// Not flushed: it leaves when the request is on record, so that who sees the end finds it there.
		_, err := io.WriteString(e.w, events[len(events)-1].text)
		e.served.Complete = err == nil
	}
}

// send sends all events but the last; false: the stream is over, as the script or the caller wants it.
func (e *exchange) send(events []event) bool {
	chunks, n := 0, 0
	for _, ev := range events {
		if ev.content {
			chunks++
		}
	}
	for _, ev := range events[:len(events)-1] {
		if ev.content {
			if n == e.script.disconnect {
				// The connection is cut without the end of the body.
				panic(http.ErrAbortHandler)
			}
			if e.script.failMid && n == chunks/2 {
				e.flush(e.dialect.broken(e, failure{status: http.StatusInternalServerError, code: "mock_mid", message: "mock error in the stream"}))
				return false
			}
			if n > 0 && !e.wait(e.script.interval) {
				return false
			}
			n++
		}
		if !e.flush(ev.text) {
			return false
		}
	}
	return true
}

// flush writes an event at once; false: the caller is gone.
func (e *exchange) flush(text string) bool {
	if _, err := io.WriteString(e.w, text); err != nil {
		return false
	}
	return http.NewResponseController(e.w).Flush() == nil && e.ctx.Err() == nil
}

// pieces cuts a text into n pieces, or into words; fewer where it has fewer characters.
func pieces(text string, n int) []string {
	if text == "" {
		return nil
	}
	if n <= 0 {
		return strings.SplitAfter(text, " ")
	}
	runes := []rune(text)
	n = min(n, len(runes))
	var out []string
	for i := range n {
		out = append(out, string(runes[i*len(runes)/n:(i+1)*len(runes)/n]))
	}
	return out
}
