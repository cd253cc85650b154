package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
)

// started is a server on ports of its own.
type started struct {
	api, admin, ack string
	stop            context.CancelFunc
	ended           chan error
}

func (w *world) start(d Drain) *started {
	w.t.Helper()
	s := &started{ended: make(chan error, 1)}
	var l Listeners
	for _, p := range []struct {
		l    *net.Listener
		addr *string
	}{{&l.API, &s.api}, {&l.Admin, &s.admin}, {&l.Ack, &s.ack}} {
		one, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		*p.l, *p.addr = one, "http://"+one.Addr().String()
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() { s.ended <- w.server.Serve(ctx, l, d) }()
	w.t.Cleanup(s.stop)
	w.api.Config.Handler = http.NotFoundHandler() // the tests below speak to the other ports
	w.api.URL = s.api
	return s
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode
}

func TestPorts(t *testing.T) {
	w := newWorld(t)
	s := w.start(Drain{})
	for url, want := range map[string]int{
		s.admin + "/healthz": 200, s.admin + "/readyz": 200, s.admin + "/metrics": 200, s.admin + "/v1/models": 404,
		s.ack + "/snapshot": 401, s.api + "/metrics": 404, s.api + "/api/v1/chat": 200,
	} {
		if got := status(t, url); got != want {
			t.Errorf("%s: %d, want %d", url, got, want)
		}
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// Not ready at once, still accepting, open streams finish, then the end.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	s := w.start(Drain{Delay: 300 * time.Millisecond, Timeout: 10 * time.Second})
	events := make(chan chat.Event)
	w.serve(live(events))
	go func() { events <- content("a") }()
	resp := w.open(t.Context(), http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
	s.stop()
	eventually(t, "unready", func() bool { return status(t, s.admin+"/readyz") == http.StatusServiceUnavailable })
	if got := status(t, s.api+"/api/v1/chat"); got != http.StatusOK {
		t.Errorf("while draining: %d", got)
	}
	eventually(t, "no more connections", func() bool { return status(t, s.api+"/api/v1/chat") == 0 })
	for _, ev := range []chat.Event{content("b"), used(20, 10), done()} {
		events <- ev
	}
	close(events)
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(b), "[DONE]\n\n") {
		t.Errorf("the stream was cut: %v %s", err, b)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	if w.balance() != usd-40_000_000 {
		t.Errorf("balance %d", w.balance())
	}
}

// What does not finish in time ends with an error event and is charged for what was streamed.
func TestDrainCuts(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	s := w.start(Drain{Timeout: 50 * time.Millisecond})
	events := make(chan chat.Event)
	w.serve(live(events))
	go func() { events <- content("12345678") }()
	resp := w.open(t.Context(), http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
	s.stop()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(b), `"error"`) || strings.Contains(string(b), "[DONE]") {
		t.Errorf("%v %s", err, b)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	if w.balance() != usd-estimated(helloStream, 8) {
		t.Errorf("balance %d", w.balance())
	}
}

func TestServeFails(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := w.server.Serve(t.Context(), Listeners{API: l, Admin: admin}, Drain{}); err == nil {
		t.Error("a dead listener is no error")
	}
}
