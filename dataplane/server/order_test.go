package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// ordered is a Settler that notes in which order an end is told to the log, to Redis and to the client.
type ordered struct {
	Settler
	client *httptest.ResponseRecorder
	steps  []string
}

func (o *ordered) note(step string) {
	if strings.Contains(o.client.Body.String(), `"cost"`) && len(o.steps) == 0 {
		step = "client, " + step
	}
	o.steps = append(o.steps, step)
}

// Submit implements Settler.
func (o *ordered) Submit(row ledger.Settlement, digest string) (func(context.Context) error, error) {
	o.note("log")
	return o.Settler.Submit(row, digest)
}

// orderedAdmission is the Admission of ordered.
type orderedAdmission struct {
	Admission
	o *ordered
}

// Finish implements Admission.
func (a orderedAdmission) Finish(ctx context.Context, f admit.Finish) error {
	a.o.note("redis")
	return a.Admission.Finish(ctx, f)
}

// Whoever is killed at an end has it in the log before Redis is asked and before the client hears what it cost.
func TestAnEndIsInTheLogFirst(t *testing.T) {
	for name, events := range map[string][]chat.Event{
		"with an end marker":     {content("a"), used(20, 10), done()},
		"without":                {content("a"), used(20, 10)},
		"usage before more text": {content("a"), used(20, 10), content("b"), used(20, 20), done()},
	} {
		t.Run(name, func(t *testing.T) {
			o := &ordered{client: httptest.NewRecorder()}
			w := newWorld(t, func(opts *Options, _ *snapshot.Snapshot) {
				o.Settler = opts.Settler
				opts.Settler, opts.Admitter = o, orderedAdmission{opts.Admitter, o}
			})
			w.key(goodKey, usd)
			w.serve(streams(events...))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(helloStream))
			r.Header.Set("Authorization", "Bearer "+goodKey)
			w.server.Handler().ServeHTTP(o.client, r)
			want := "log redis"
			if name == "usage before more text" { // the first report is only that
				want = "client, log redis"
			}
			if got := strings.Join(o.steps, " "); got != want || !strings.Contains(o.client.Body.String(), `"cost"`) {
				t.Errorf("%s; want %s\n%s", got, want, o.client.Body)
			}
			w.sound()
		})
	}
}
