package body

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestRead(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	cases := map[string]struct {
		body   io.Reader
		length int64 // announced; -1: none
		limit  int64
		budget int64
		want   string
		err    error
	}{
		"empty":                      {strings.NewReader(""), 0, 10, 100_000, "", nil},
		"short":                      {strings.NewReader("hello"), 5, 10, 100_000, "hello", nil},
		"chunked":                    {strings.NewReader(long), -1, 200_000, 1 << 20, long, nil},
		"one byte at a time":         {iotest.OneByteReader(strings.NewReader(long)), -1, 100_000, 1 << 20, long, nil},
		"exactly the limit":          {strings.NewReader(long), 100_000, 100_000, 1 << 20, long, nil},
		"announced too large":        {strings.NewReader(long), 100_000, 99_999, 1 << 20, "", ErrTooLarge},
		"chunked too large":          {strings.NewReader(long), -1, 99_999, 1 << 20, "", ErrTooLarge},
		"over budget":                {strings.NewReader(long), 100_000, 200_000, 99_999, "", ErrBudget},
		"announces much, sends none": {strings.NewReader("x"), 1 << 30, 1 << 30, 20_000, "x", nil},
		"broken off":                 {iotest.ErrReader(io.ErrUnexpectedEOF), 10, 100, 1 << 20, "", io.ErrUnexpectedEOF},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := NewReader(c.budget, time.Second, time.Second, time.Now)
			r := httptest.NewRequest(http.MethodPost, "/", c.body)
			r.ContentLength = c.length
			got, release, err := b.Read(httptest.NewRecorder(), r, c.limit)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if !bytes.Equal(got, []byte(c.want)) {
				t.Errorf("got %d bytes, want %d", len(got), len(c.want))
			}
			release()
			if !b.budget.TryAcquire(c.budget) {
				t.Error("the budget was not given back")
			}
		})
	}
}

// The budget holds for all bodies in flight together.
func TestBudgetIsShared(t *testing.T) {
	b := NewReader(50_000, time.Second, time.Second, time.Now)
	read := func() (func(), error) {
		_, release, err := b.Read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 16_000))), 1<<20)
		return release, err
	}
	first, err := read()
	if err != nil {
		t.Fatal(err)
	}
	second, err := read()
	if !errors.Is(err, ErrBudget) {
		t.Fatalf("the second: %v", err)
	}
	second()
	first()
	third, err := read()
	if err != nil {
		t.Fatalf("after the first: %v", err)
	}
	third()
}

// A client that stops sending is let go after the idle time; one that goes on slowly is read within the total.
func TestSlowClients(t *testing.T) {
	result := make(chan error, 1)
	b := NewReader(1<<20, 100*time.Millisecond, 10*time.Second, time.Now)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, release, err := b.Read(w, r, 1<<20)
		release()
		result <- err
	}))
	defer server.Close()
	send := func(first, rest string) error {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"+first); err != nil {
			t.Fatal(err)
		}
		if rest != "" {
			if _, err := io.WriteString(conn, rest); err != nil {
				t.Fatal(err)
			}
			if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
				t.Fatal(err)
			}
		}
		return <-result
	}
	if err := send("abc", ""); !errors.Is(err, ErrSlow) {
		t.Errorf("a client that stops: %v", err)
	}
	if err := send("abc", "def"); err != nil {
		t.Errorf("a client that goes on: %v", err)
	}
}
