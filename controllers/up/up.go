package up

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
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
	mark := ""
	if o.Manifests != "" {
		// From before it is read: what changes meanwhile is read again. Where it cannot be, reading says why.
		mark, _ = fingerprint(o.Manifests)
	}
	w, err := readWorld(ctx, o)
	if w != nil {
		t.notes(w.notes)
	}
	if err != nil {
		return err
	}
	if w.demo() && (o.Ledger != "" || o.Data != "") {
		t.notes([]note{{text: "--ledger and --data are not used in demo mode, which records nothing"}})
	}
	if len(w.real) > 0 && w.demo() && !loopback(o.Listen) {
		t.notes([]note{{text: "whoever reaches " + o.Listen + " spends the money of these providers' accounts, because a demo asks for no real key"}})
	}
	if !w.demo() {
		release, err := takeData(&o)
		if err != nil {
			return err
		}
		defer release()
	}
	listeners, err := listen(ctx, o)
	if err != nil {
		return err
	}
	// Serve closes them too; until it does, an early end must.
	defer closeAll(listeners)
	return serve(ctx, o, w, mark, listeners, t, log)
}

// serve opens the stores, brings the keys into the ledger and runs the data plane on all of it.
func serve(ctx context.Context, o Options, w *world, mark string, listeners server.Listeners, t teller, log *slog.Logger) error {
	s, err := openStores(ctx, o, w.demo())
	if err != nil {
		return err
	}
	defer s.close()
	parts := gateway.Parts{
		Admission: s.admission, RedisTimeout: o.redisTimeout, Listeners: listeners, Drain: server.Drain{Timeout: w.drain()}, Log: log, Version: o.Version,
	}
	if !w.demo() {
		parts.Books, parts.Owner, parts.WALDir = s.ledger, s.owner, o.walDir()
		if err := s.pin(ctx, w.out.Snapshot.CreditsPerDollar); err != nil {
			return err
		}
	}
	keyFile, notes, err := s.syncKeys(ctx, o, w)
	if err != nil {
		return err
	}
	t.notes(notes)
	w.notes = append(w.notes, notes...)
	memory := source.NewMemory(log, time.Now)
	if err := memory.Publish(w.out.Snapshot); err != nil {
		return fmt.Errorf("serving what the manifests say: %w", err)
	}
	found, check := s.nightly(w.out.Snapshot.Gateway, log)
	parts.Source, parts.Collectors = memory, found
	// What follows changes ends when serving does, and before the stores close.
	background, stop := context.WithCancel(ctx)
	var jobs sync.WaitGroup
	defer jobs.Wait()
	defer stop()
	jobs.Go(func() { check(background) })
	parts.Ready = func(b gateway.Bound) {
		p := place{API: "http://" + reachable(b.API), Admin: "http://" + reachable(b.Admin)}
		t.serving(p, w, keyFile, s.ledgerURL)
		if err := ready(o.Stdout, p); err != nil {
			log.Error("Writing the ready line", "error", err)
		}
		if o.Manifests != "" {
			r := newReloader(o, t, log, memory, w, mark)
			r.sync = func(ctx context.Context, w *world) (string, []note, error) { return s.syncKeys(ctx, o, w) }
			jobs.Go(func() { r.run(background) })
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

// loopback says whether an address is reached from this machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// reachable is an address to connect to: one that means every interface is reached over the loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
