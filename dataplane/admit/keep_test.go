package admit

import (
	"context"
	"testing"
	"time"

	"github.com/layers-dev/layers/hack/testenv"
)

func TestKeep(t *testing.T) {
	url := testenv.Redis(t)
	r, err := NewRedis(Options{URL: url, Timeout: 20 * time.Second, Owner: "pod", Lease: time.Second, SyncEvery: 50 * time.Millisecond})
	must(t, err)
	t.Cleanup(r.Close)
	s := &store{tb: t, Redis: r}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Keep(ctx, func(err error) { t.Log(err) })
	}()
	s.load(100)
	q := request(60)
	s.want(q, Admitted)
	must(t, s.raw("FLUSHALL").Error())
	back := func() bool { // under the new name, and listed
		v, err := s.raw("HGET", holdsKey("ns/acme"), q.ID).ToString()
		h, ok := parseHold(v)
		return err == nil && ok && h.owner == "pod.2" && s.count("SISMEMBER", listKey("pod.2"), "ns/acme") == 1
	}
	for deadline := time.Now().Add(20 * time.Second); !back(); {
		if time.Now().After(deadline) {
			t.Fatal("the hold does not come back")
		}
	}
	same(t, "held", s.held(), "60")
	stop()
	<-done
	other := &store{tb: t, Redis: openOwner(t, url, "other")}
	for deadline := time.Now().Add(20 * time.Second); len(other.orphans()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("a stopped process keeps its lease")
		}
	}
}
