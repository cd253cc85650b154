package mockprovider

import (
	"io"
	"net/http"
)

// stream sends the answer as events.
func (e *exchange) stream() {
	usage := e.usage()
	e.served.Status, e.served.Usage = http.StatusOK, &usage
	e.w.Header().Set("Content-Type", "text/event-stream")
	e.w.WriteHeader(http.StatusOK)
	if !e.content() {
		return
	}
	if e.in.StreamOptions.IncludeUsage && !e.script.noUsage {
		last := e.object("chat.completion.chunk")
		last["usage"] = usage.object()
		if !e.send(string(encode(last))) {
			return
		}
		e.served.Reported = true
	}
	e.served.Complete = true
	if !e.script.noDone {
		// Not flushed: it leaves when the request is on record, so that who sees the end finds it there.
		_, err := io.WriteString(e.w, "data: [DONE]\n\n")
		e.served.Complete = err == nil
	}
}

// content sends the chunks of all choices; false: the stream is over, as the script or the caller wants it.
func (e *exchange) content() bool {
	for i := range max(1, e.in.N) {
		if !e.chunk(i, map[string]any{"role": "assistant", "content": "", "refusal": nil}, nil) {
			return false
		}
		finish := "stop"
		if e.script.tool {
			finish = "tool_calls"
		}
		deltas := e.deltas()
		for n, delta := range deltas {
			if n == e.script.disconnect {
				// The connection is cut without the end of the body.
				panic(http.ErrAbortHandler)
			}
			if e.script.failMid && n == len(deltas)/2 {
				e.send(string(encode(errorObject("server_error", "mock_mid", "mock error in the stream"))))
				return false
			}
			if n > 0 && !e.wait(e.script.interval) || !e.chunk(i, delta, nil) {
				return false
			}
		}
		if !e.chunk(i, map[string]any{}, finish) {
			return false
		}
	}
	return true
}

func (e *exchange) chunk(index int, delta map[string]any, finish any) bool {
	out := e.object("chat.completion.chunk")
	out["choices"] = []any{map[string]any{"index": index, "delta": delta, "logprobs": nil, "finish_reason": finish}}
	return e.send(string(encode(out)))
}

// send writes one event at once; false: the caller is gone.
func (e *exchange) send(data string) bool {
	if _, err := io.WriteString(e.w, "data: "+data+"\n\n"); err != nil {
		return false
	}
	return http.NewResponseController(e.w).Flush() == nil && e.ctx.Err() == nil
}
