package up

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/layers-dev/layers/dataplane/gateway"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/source"
)

// Run serves until ctx ends, then lets open requests end and returns nil.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	log, err := newLogger(o)
	if err != nil {
		return err
	}
	t := teller{o.Stderr, o.LogFormat == "json", log}
	w, err := readWorld(ctx, o.Manifests)
	if w != nil {
		t.notes(w.notes)
	}
	if err != nil {
		return err
	}
	if w.demo() && (o.Ledger != "" || o.Data != "") {
		t.notes([]note{{text: "--ledger and --data are not used in demo mode, which records nothing"}})
	}
	listeners, err := listen(ctx, o)
	if err != nil {
		return err
	}
	// Serve closes them too; until it does, an early end must.
	defer closeAll(listeners)
	return serve(ctx, o, w, listeners, t, log)
}

// serve opens the stores, brings the keys into the ledger and runs the data plane on all of it.
func serve(ctx context.Context, o Options, w *world, listeners server.Listeners, t teller, log *slog.Logger) error {
	if !w.demo() {
		if err := prepareData(&o); err != nil {
			return err
		}
	}
	s, err := openStores(ctx, o, w.demo())
	if err != nil {
		return err
	}
	defer s.close()
	parts := gateway.Parts{
		Admission: s.admission, Listeners: listeners, Drain: server.Drain{Timeout: w.drain()}, Log: log, Version: o.Version,
	}
	var keyFile string
	if !w.demo() {
		parts.Books = s.ledger
		var notes []note
		if keyFile, notes, err = s.syncKeys(ctx, o, w); err != nil {
			return err
		}
		t.notes(notes)
	}
	memory := source.NewMemory(log, time.Now)
	if err := memory.Publish(w.out.Snapshot); err != nil {
		return fmt.Errorf("serving what the manifests say: %w", err)
	}
	parts.Source = memory
	parts.Ready = func(b gateway.Bound) {
		p := place{API: "http://" + reachable(b.API), Admin: "http://" + reachable(b.Admin)}
		t.serving(p, w, keyFile, s.ledgerURL)
		if err := ready(o.Stdout, p); err != nil {
			log.Error("Writing the ready line", "error", err)
		}
	}
	return gateway.Serve(ctx, parts)
}

func listen(ctx context.Context, o Options) (server.Listeners, error) {
	var l server.Listeners
	var config net.ListenConfig
	var err error
	if l.API, err = config.Listen(ctx, "tcp", o.Listen); err != nil {
		return l, fmt.Errorf("listening for the API (--listen, where port 0 takes a free port): %w", err)
	}
	if l.Admin, err = config.Listen(ctx, "tcp", o.AdminListen); err != nil {
		closeAll(l)
		return l, fmt.Errorf("listening for metrics and health (--admin-listen, where port 0 takes a free port): %w", err)
	}
	return l, nil
}

func closeAll(l server.Listeners) {
	for _, one := range []net.Listener{l.API, l.Admin} {
		if one != nil {
			_ = one.Close() // it may be closed already
		}
	}
}

// reachable is an address to connect to: one that means every interface is reached over the loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
