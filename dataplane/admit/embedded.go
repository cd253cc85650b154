package admit

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often keys of the embedded store age. Only their expiry is so coarse: TIME is the machine's own clock, and
// the scripts decide by TIME.
const tick = 100 * time.Millisecond

// embeddedTimeout bounds each call of the embedded store. It is never away: where it is slow this process has too little of
// the machine, and giving up would only add to it. The server's own bound on a question to a store comes first.
const embeddedTimeout = 10 * time.Second

// Embedded starts a Redis in this process, on a free port of the loopback, and answers the Admitter on it: the same
// scripts as on a server. Its data go with Close. o.URL is not used.
func Embedded(o Options) (*Redis, error) {
	server := miniredis.NewMiniRedis()
	// Other people's processes reach the loopback too.
	password := rand.Text()
	server.RequireAuth(password)
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("starting the embedded redis: %w", err)
	}
	o.URL = "redis://:" + password + "@" + server.Addr()
	if o.Timeout <= 0 {
		o.Timeout = embeddedTimeout
	}
	r, err := NewRedis(o)
	if err != nil {
		server.Close()
		return nil, err
	}
	// It answers CLUSTER SLOTS although it is alone.
	r.driver.ForceSingleClient = true
	stop := age(server)
	r.onClose = func() {
		stop()
		server.Close()
	}
	return r, nil
}

// age makes keys expire as time passes, which miniredis does not do by itself, until the answer is called. A step looks at
// every key; with very many it takes longer, and steps become rarer so that it never uses more than a twentieth of the time.
func age(server *miniredis.Miniredis) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		last, wait := time.Now(), tick
		timer := time.NewTimer(wait)
		defer timer.Stop()
		for {
			select {
			case <-done:
				return
			case <-timer.C:
			}
			start := time.Now()
			server.FastForward(start.Sub(last))
			last, wait = start, max(tick, 20*time.Since(start))
			timer.Reset(wait)
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}
