package verify

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// network is a RoundTripper of a function.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(r *http.Request) (*http.Response, error) { return n(r) }

// respond makes an answer.
func respond(status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// at asks through a network; waits are noted.
func at(n network) (*target, *[]time.Duration) {
	var waits []time.Duration
	o := fakeOptions(newFake()).withDefaults()
	o.Wait = func(_ context.Context, d time.Duration) { waits = append(waits, d) }
	return &target{base: "https://gateway.test", key: fakeKey, transport: n, options: o}, &waits
}

// TestPatience: a limit or an overload that says when is waited for, a few times and within the check's time; nothing else is.
func TestPatience(t *testing.T) {
	limited := http.Header{"Retry-After": {"3"}}
	for name, test := range map[string]struct {
		statuses []int
		header   http.Header
		body     string
		within   time.Duration
		waits    []time.Duration
		want     int
	}{
		"once":           {[]int{429, 200}, limited, "", time.Minute, []time.Duration{3e9}, 200},
		"overloaded":     {[]int{503, 529, 200}, limited, "", time.Minute, []time.Duration{3e9, 3e9}, 200},
		"too often":      {slices.Repeat([]int{429}, retries+2), limited, "", time.Minute, slices.Repeat([]time.Duration{3e9}, retries), 429},
		"at once":        {[]int{429, 200}, http.Header{"Retry-After": {"0"}}, "", time.Minute, []time.Duration{soonest}, 200},
		"too long":       {[]int{429, 200}, limited, "", time.Second, nil, 429},
		"no time told":   {[]int{429, 200}, nil, "", time.Minute, nil, 429},
		"not a number":   {[]int{429, 200}, http.Header{"Retry-After": {"soon"}}, "", time.Minute, nil, 429},
		"never":          {[]int{503, 200}, limited, `{"error":{"message":"x","type":"t","param":null,"code":"gateway_not_configured"}}`, time.Minute, nil, 503},
		"another status": {[]int{500, 200}, limited, "", time.Minute, nil, 500},
	} {
		t.Run(name, func(t *testing.T) {
			n := -1
			target, waits := at(func(*http.Request) (*http.Response, error) {
				n++
				return respond(test.statuses[n], test.header, test.body), nil
			})
			ctx, cancel := context.WithDeadline(t.Context(), fakeNow().Add(1000*time.Hour))
			defer cancel()
			// The clock of the options stands still: the deadline is as far as within says.
			target.options.Now = func() time.Time { return fakeNow().Add(1000*time.Hour - test.within) }
			got, err := target.post(ctx, "/x", []byte("{}"))
			if err != nil || got.status != test.want {
				t.Errorf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(test.waits, *waits); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNoAnswer: what goes wrong on the way is told, and a check that takes too long says so.
func TestNoAnswer(t *testing.T) {
	target, _ := at(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		return nil, errors.New("no route to " + fakeKey)
	})
	r := target.judge(t.Context(), Result{Check: "x"}, func(ctx context.Context) error {
		_, err := target.post(ctx, "/x", nil)
		return err
	})
	if r.Outcome != Failed || r.Got != "no route to [key]" {
		t.Errorf("%+v", r)
	}
	target.options.Timeout = time.Millisecond
	r = target.judge(t.Context(), Result{Check: "x"}, func(ctx context.Context) error {
		_, err := target.post(ctx, "/slow", nil)
		return err
	})
	if r.Outcome != Failed || !strings.Contains(r.Expected, "--timeout") {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := target.judge(ctx, Result{}, func(context.Context) error { return nil }); r.Outcome != Skipped {
		t.Errorf("an interrupted check: %+v", r)
	}
}

// TestReplies: the media type, and a stream that cannot be read.
func TestReplies(t *testing.T) {
	for name, test := range map[string]struct {
		reply reply
		want  string
	}{
		"good":    {reply{200, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, nil}, ""},
		"media":   {reply{200, http.Header{"Content-Type": {"text/html"}}, nil}, `got "text/html"`},
		"none":    {reply{200, http.Header{}, nil}, `got ""`},
		"refused": {reply{402, http.Header{}, []byte(`{"error":{"message":"Pay.","type":"t","param":null,"code":"c"}}`)}, `got 402, type "t", code "c", param "": Pay.`},
		"a page":  {reply{502, http.Header{}, []byte("<html>")}, `got 502, "<html>"`},
	} {
		err := test.reply.good(client.Completions{}, "application/json")
		if test.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := reply{body: []byte(": beat\n\nevent: keepalive\ndata: {}\n\nevent: a\ndata: 1\ndata: 2\n\ndata: 3")}
	got, err := r.events()
	if diff := cmp.Diff([]client.Event{{Name: "a", Data: []byte("1\n2")}, {Data: []byte("3")}}, got); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	r.body = []byte("data: " + strings.Repeat("x", maxEvent+1))
	if _, err := r.events(); err == nil {
		t.Error("an endless event is read")
	}
}

// TestParallel: as many checks of a model run at once as the options say, and the results keep the order of the jobs.
func TestParallel(t *testing.T) {
	target, _ := at(nil)
	target.options.Parallel = 3
	var running, most atomic.Int64
	full, once := make(chan struct{}), sync.Once{}
	var todo []job
	for i := range 12 {
		todo = append(todo, job{name: string(rune('a' + i)), probe: &probe{target: target, model: model{id: "m"}, p: client.Completions{}}, run: func(ctx context.Context, _ *probe) error {
			n := running.Add(1)
			defer running.Add(-1)
			if most.Load() < n {
				most.Store(n)
			}
			if n == 3 {
				once.Do(func() { close(full) })
			}
			select {
			case <-full: // three ran at once
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		}})
	}
	for i, r := range target.run(t.Context(), todo) {
		if r.Outcome != Passed || r.Check != todo[i].name || r.Subject != "m" || r.Protocol != completions {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if most.Load() > 3 {
		t.Errorf("%d at once", most.Load())
	}
}

// TestKeyIsHidden: an answer that repeats the key is read without it, wherever it would be cut.
func TestKeyIsHidden(t *testing.T) {
	for n := range 400 {
		target, _ := at(func(*http.Request) (*http.Response, error) {
			return respond(http.StatusTeapot, nil, strings.Repeat("x", n)+fakeKey), nil
		})
		r := target.judge(t.Context(), Result{}, func(ctx context.Context) error {
			got, err := target.post(ctx, "/x", nil)
			return first(err, got.good(client.Completions{}, "application/json"))
		})
		if r.Outcome != Failed || strings.Contains(r.Got, fakeKey[:10]) {
			t.Fatalf("%d: %+v", n, r)
		}
	}
}
