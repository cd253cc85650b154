package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// battered is a server on a port of its own that a test may hurt. At the end it must be well: it answers, nothing panicked,
// and, as goleak sees after the last test, nothing goes on.
func battered(t *testing.T, change ...func(*Options, *snapshot.Snapshot)) (w *world, s *started, well func()) {
	t.Helper()
	w = newWorld(t, change...)
	w.key(goodKey, 1000*usd)
	w.serve(answers(1, 1))
	s = w.start(Drain{Timeout: 5 * time.Second})
	return w, s, func() {
		w.serve(answers(1, 1))
		if got := w.do(http.MethodPost, "/v1/chat/completions", goodKey, hello); got.status != http.StatusOK {
			t.Errorf("afterwards: %d %s", got.status, got.body)
		}
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader("# HELP layers_panics_total Handlers that panicked.\n# TYPE layers_panics_total counter\nlayers_panics_total 0\n"), "layers_panics_total"); err != nil {
			t.Error(err)
		}
		w.api.Client().CloseIdleConnections()
		s.stop()
		if err := <-s.ended; err != nil {
			t.Error(err)
		}
		w.sound()
	}
}

func (s *started) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.api, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + goodKey + "\r\nContent-Type: application/json\r\n"

// answerOf reads one answer off a connection.
func answerOf(t *testing.T, conn net.Conn) reply {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// Bodies that are no request each get an error in OpenAI's shape.
func TestGarbageBodies(t *testing.T) {
	w, _, well := battered(t)
	defer well()
	random := rand.New(rand.NewPCG(1, 2))
	bodies := map[string]string{
		"nothing":            "",
		"invalid UTF-8":      `{"model":"good","messages":[{"role":"user","content":"` + "\xff\xfe" + `"}]}`,
		"deep arrays":        `{"model":"good","messages":` + strings.Repeat("[", 2000),
		"deep, and closed":   `{"model":"good","messages":[],"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}",
		"a null byte":        "{\"model\":\"good\x00\"}",
		"half":               hello[:len(hello)/2],
		"two":                hello + hello,
		"an array":           "[" + hello + "]",
		"a form":             "model=good&messages=hi",
		"UTF-16":             "\xff\xfe{\x00}\x00",
		"messages of nulls":  `{"model":"good","messages":[null,null]}`,
		"numbers as strings": `{"model":"good","messages":[{"role":"user","content":"x"}],"max_tokens":"10"}`,
		"huge numbers":       `{"model":"good","messages":[{"role":"user","content":"x"}],"max_tokens":1e999999}`,
	}
	for i := range 50 {
		b := make([]byte, random.IntN(3000))
		for j := range b {
			b[j] = byte(random.UintN(256))
		}
		bodies[fmt.Sprint("random ", i)] = string(b)
	}
	for name, b := range bodies {
		got := w.do(http.MethodPost, "/v1/chat/completions", goodKey, b)
		if e := got.failure(t); got.status != http.StatusBadRequest || e["type"] != typeRequest || e["message"] == "" {
			t.Errorf("%s: %d %v", name, got.status, e)
		}
	}
}

// JSON nested 100,000 deep, and an object with very many members, are refused without a stack or a heap for them.
func TestGarbageDeep(t *testing.T) {
	w, _, well := battered(t, func(_ *Options, s *snapshot.Snapshot) { s.Tiers[0].MaxBodyBytes = 4 << 20 })
	defer well()
	for name, b := range map[string]string{
		"nested":       `{"model":"good","messages":[{"role":"user","content":` + strings.Repeat(`[{"a":`, 100_000) + "1" + strings.Repeat("}]", 100_000) + `}]}`,
		"many members": `{"model":"good"` + strings.Repeat(`,"a":1`, 500_000) + "}",
	} {
		got := w.do(http.MethodPost, "/v1/chat/completions", goodKey, b)
		if e := got.failure(t); got.status != http.StatusBadRequest || e["code"] != "invalid_json" {
			t.Errorf("%s: %d %v", name, got.status, e)
		}
	}
}

// Ten thousand headers are refused in the client's protocol; garbage that is no HTTP ends its own connection only.
func TestGarbageHeaders(t *testing.T) {
	_, s, well := battered(t)
	defer well()
	conn := s.dial(t)
	var many bytes.Buffer
	many.WriteString(head)
	for i := range 10_000 {
		fmt.Fprintf(&many, "X-Header-%d: some value of it\r\n", i)
	}
	fmt.Fprintf(&many, "Content-Length: %d\r\n\r\n%s", len(hello), hello)
	if _, err := conn.Write(many.Bytes()); err != nil {
		t.Fatal(err)
	}
	got := answerOf(t, conn)
	if e := got.failure(t); got.status != http.StatusRequestHeaderFieldsTooLarge || e["code"] != "headers_too_large" {
		t.Errorf("%d %v", got.status, e)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		conn := s.dial(t)
		b := make([]byte, 1+random.IntN(500))
		for i := range b {
			b[i] = byte(random.UintN(256))
		}
		_, _ = conn.Write(b) // it may be refused at the first byte
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn) // it may be reset
		if len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
			t.Errorf("%q is answered %q", b, answer)
		}
	}
}

// A client that sends all of a body that is too large before it reads still gets its answer.
func TestGarbageLargeBody(t *testing.T) {
	_, s, well := battered(t)
	defer well()
	for name, begin := range map[string]string{"announced": "Content-Length: 8388608\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n800000\r\n"} {
		t.Run(name, func(t *testing.T) {
			conn := s.dial(t)
			if _, err := io.WriteString(conn, head+begin); err != nil {
				t.Fatal(err)
			}
			piece := bytes.Repeat([]byte("x"), 64<<10)
			for range 128 {
				if _, err := conn.Write(piece); err != nil {
					t.Fatalf("the connection was closed while the client was sending: %v", err)
				}
			}
			got := answerOf(t, conn)
			if e := got.failure(t); got.status != http.StatusRequestEntityTooLarge || e["code"] != "request_too_large" {
				t.Errorf("%d %v", got.status, e)
			}
		})
	}
}

// Half requests: cut off at every length, then closed or left open until the server has enough.
func TestGarbageHalfRequests(t *testing.T) {
	w, s, well := battered(t, func(o *Options, _ *snapshot.Snapshot) { o.BodyIdle = 50 * time.Millisecond })
	defer well()
	whole := head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hello), hello)
	for n := 0; n < len(whole); n += 7 {
		conn := s.dial(t)
		if _, err := io.WriteString(conn, whole[:n]); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	conn := s.dial(t)
	if _, err := io.WriteString(conn, whole[:len(whole)-10]); err != nil {
		t.Fatal(err)
	}
	got := answerOf(t, conn) // a slow writer
	if e := got.failure(t); got.status != http.StatusRequestTimeout || e["code"] != "request_timeout" {
		t.Errorf("%d %v", got.status, e)
	}
	eventually(t, "nothing runs", func() bool { return w.server.running.count() == 0 })
}

// A client that does not read is let go, and what was produced for it is charged.
func TestGarbageSlowReader(t *testing.T) {
	w, s, well := battered(t, func(o *Options, _ *snapshot.Snapshot) { o.WriteTimeout = 100 * time.Millisecond })
	defer well()
	long := strings.Repeat("x", 64<<10)
	events := make([]chat.Event, 0, 400)
	for range 400 {
		events = append(events, content(long))
	}
	w.serve(streams(append(events, used(10, 10), done())...))
	conn := s.dial(t)
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	if _, err := io.WriteString(conn, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(helloStream), helloStream)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the charge", func() bool { return w.balance() == 1000*usd-30_000_000 })
	eventually(t, "the end", func() bool { return w.server.running.count() == 0 })
}

// Connections that are closed at every phase of an answer: before it, in its headers, in its events.
func TestGarbageClosedConnections(t *testing.T) {
	w, s, well := battered(t)
	defer well()
	w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		events := []chat.Event{role()}
		for range 20 {
			events = append(events, content("some words of it "))
		}
		return streams(append(events, used(10, 10), done())...)(ctx, c)
	})
	for n := 0; n < 1400; n += 67 {
		conn := s.dial(t)
		if _, err := io.WriteString(conn, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(helloStream), helloStream)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(n)); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset, not a polite end
		_ = conn.Close()
	}
	eventually(t, "nothing runs", func() bool { return w.server.running.count() == 0 })
}

// HTTP/2 without a certificate works, and streams that are reset at any time leave nothing behind.
func TestGarbageHTTP2(t *testing.T) {
	w, s, well := battered(t)
	defer well()
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	ask := func(ctx context.Context, body io.Reader) (reply, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.api+"/v1/chat/completions", body)
		if err != nil {
			return reply{}, err
		}
		r.Header.Set("Authorization", "Bearer "+goodKey)
		resp, err := client.Do(r)
		if err != nil {
			return reply{}, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.ProtoMajor != 2 {
			t.Errorf("HTTP/%d", resp.ProtoMajor)
		}
		b, err := io.ReadAll(resp.Body)
		return reply{resp.StatusCode, resp.Header, string(b)}, err
	}
	if got, err := ask(t.Context(), strings.NewReader(hello)); err != nil || got.status != http.StatusOK {
		t.Fatalf("%v %d %s", err, got.status, got.body)
	}
	if got, err := ask(t.Context(), strings.NewReader("{")); err != nil || got.failure(t)["code"] != "invalid_json" {
		t.Errorf("%v %v", err, got)
	}
	if got, err := ask(t.Context(), io.LimitReader(zeros{}, 1<<20)); err != nil || got.failure(t)["code"] != "request_too_large" {
		t.Errorf("%v %v", err, got)
	}
	w.serve(streams(content("a"), content("b"), content("c"), used(10, 10), done()))
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*500*time.Microsecond)
			defer cancel()
			got, err := ask(ctx, strings.NewReader(helloStream))
			if err == nil && got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "deadline") {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	eventually(t, "nothing runs", func() bool { return w.server.running.count() == 0 })
}

// zeros is a body without end.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// count is how many handlers run.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
