package admit

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestEmbedded(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // the driver of a cluster looks around once more after it was closed
	r, err := Embedded(Options{})
	must(t, err)
	defer r.Close()
	s := &store{tb: t, Redis: r}
	s.load(100)
	start := time.Now()
	d := s.want(request(100, limited(600, 1), func(q *Request) { q.HoldFor = 300 * time.Millisecond }), Admitted)
	if off := d.Now.Sub(start).Abs(); off > 5*time.Second {
		t.Errorf("its clock is off by %v", off)
	}
	// The hold and the rate's arrival time pass as real time does.
	var rate, credits bool
	for deadline := time.Now().Add(10 * time.Second); ; {
		switch d := s.admit(request(100, limited(600, 1))); d.Outcome {
		case RateLimited:
			rate = true
		case InsufficientCredits:
			credits = true
		case Admitted:
			if took := time.Since(start); took < 300*time.Millisecond {
				t.Errorf("the hold ended after %v", took)
			}
			if !rate || !credits {
				t.Errorf("seen: rate limited %v, insufficient credits %v", rate, credits)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the hold never ends")
		}
	}
}

func TestEmbeddedKeysExpire(t *testing.T) {
	r, err := Embedded(Options{})
	must(t, err)
	defer r.Close()
	ctx := context.Background()
	must(t, r.Set(ctx, "short", "x", 50*time.Millisecond))
	must(t, r.Set(ctx, "long", "x", time.Hour))
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, there, err := r.Get(ctx, "short")
		must(t, err)
		if !there {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a key does not expire")
		}
	}
	_, there, err := r.Get(ctx, "long")
	must(t, err)
	same(t, "the other key", there, true)
}

func TestEmbeddedIsPrivate(t *testing.T) {
	r, err := Embedded(Options{})
	must(t, err)
	defer r.Close()
	stranger, err := NewRedis(Options{URL: "redis://" + r.driver.InitAddress[0]})
	must(t, err)
	defer stranger.Close()
	if err := stranger.Ping(context.Background()); err == nil {
		t.Error("the embedded store answers without its password")
	}
}
