package gateway

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// gate stands before a server and can be shut, as if the server was stopped.
type gate struct {
	to string
	l  net.Listener

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

// newGate answers a gate before the server of a URL, and the URL that goes through it.
func newGate(t *testing.T, through string) (*gate, string) {
	t.Helper()
	u, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{to: u.Host, conns: map[net.Conn]bool{}}
	if g.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := g.l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { g.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = g.l.Close()
		g.close()
		running.Wait()
	})
	u.Host = g.l.Addr().String()
	return g, u.String()
}

// pass copies both ways until one end is closed.
func (g *gate) pass(c net.Conn) {
	defer g.forget(c)
	if !g.remember(c) {
		return
	}
	s, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer g.forget(s)
	if !g.remember(s) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(s, c)
		_ = s.Close()
	}()
	_, _ = io.Copy(c, s)
	_ = c.Close()
	<-done
}

func (g *gate) remember(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = true
	return !g.shut
}

func (g *gate) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	_ = c.Close()
}

// close cuts all connections and lets no new one pass.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for c := range g.conns {
		_ = c.Close()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}
