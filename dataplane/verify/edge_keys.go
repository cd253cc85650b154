package verify

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Paths of the gateway that are no protocol's.
const (
	healthPath   = "/api/v1/chat"
	modelsPath   = "/v1/models"
	usagePath    = "/v1/usage/"
	estimatePath = "/v1/estimate"
	countPath    = "/v1/messages/count_tokens"
)

// Keys that no gateway has: one that cannot be a key, and one that looks like one.
const (
	brokenKey  = "not-a-key"
	unknownKey = "lyr_live_0000000000000000000000000000000000000000000"
)

// keyChecks are of who may ask.
func keyChecks() []edge {
	out := []edge{{name: "health without a key", run: health}}
	for _, p := range client.All() {
		out = append(out,
			edge{protocol: p.Name(), name: "no key", run: refusedKey(p, "")},
			edge{protocol: p.Name(), name: "malformed key", run: refusedKey(p, brokenKey)},
			edge{protocol: p.Name(), name: "unknown key", run: strangerKey(p)},
		)
	}
	for name, header := range map[string]func(key string) http.Header{
		"key in Authorization":      func(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} },
		"key with a scheme in caps": func(key string) http.Header { return http.Header{"Authorization": {"BEARER " + key}} },
		"key in X-Api-Key":          func(key string) http.Header { return http.Header{"X-Api-Key": {key}} },
		"key in Api-Key":            func(key string) http.Header { return http.Header{"Api-Key": {key}} },
	} {
		out = append(out, edge{name: name, run: func(ctx context.Context, g *gateway) error {
			got, err := g.patient(ctx, http.MethodGet, modelsPath, header(g.key), nil)
			if err != nil {
				return err
			}
			return got.good(client.Completions{}, "application/json")
		}})
	}
	slices.SortStableFunc(out[len(out)-4:], func(a, b edge) int { return strings.Compare(a.name, b.name) })
	return out
}

func health(ctx context.Context, g *gateway) error {
	var v struct{ Status, Service, Mode string }
	got, err := g.send(ctx, http.MethodGet, healthPath, http.Header{}, nil)
	if err != nil {
		return err
	}
	if err := got.good(client.Completions{}, "application/json"); err != nil {
		return err
	}
	if err := unmarshal(got.body, &v); err != nil || v.Status != "ok" || v.Service != "layers" {
		return wrong(`{"status":"ok","service":"layers"}`, "%s", got.body)
	}
	g.demo = v.Mode == "Demo"
	return nil
}

// pong is a good request of a protocol.
func pong(p client.Protocol, model string) []byte {
	return p.Body(client.Ask{Model: model, Turns: user("Reply with the single word pong."), Limit: outputLimit})
}

// refusedKey asks with a key that is none.
func refusedKey(p client.Protocol, key string) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		header := http.Header{}
		if key != "" {
			header.Set("Authorization", "Bearer "+key)
		}
		got, err := g.send(ctx, http.MethodPost, p.Path(), header, pong(p, "any"))
		if err != nil {
			return err
		}
		if err := got.refused(p, http.StatusUnauthorized, refusal{kind: "authentication_error", code: "invalid_api_key"}); err != nil {
			return err
		}
		if key != "" && strings.Contains(string(got.body), key) {
			return wrong("a refusal that does not repeat the key", "%s", got.body)
		}
		return nil
	}
}

func strangerKey(p client.Protocol) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		if g.demo {
			return skip{"in demo mode every key is good"}
		}
		return refusedKey(p, unknownKey)(ctx, g)
	}
}

// refusal is what an error has to say; empty members are not looked at. Anthropic's errors have no code and no param.
type refusal struct{ kind, code, param string }

// refused holds a reply to a status and an error in the protocol's shape.
func (r *reply) refused(p client.Protocol, status int, want refusal) error {
	f, err := p.Failure(r.body)
	if err != nil {
		return err
	}
	told := status
	if p.Name() == messages {
		want.code, want.param = "", ""
	}
	if r.status != told || want.kind != "" && f.Type != want.kind || want.code != "" && f.Code != want.code || want.param != "" && f.Param != want.param {
		return wrong(want.String(status), "%d, %s", r.status, f)
	}
	if r.header.Get("X-Layers-Request-Id") == "" {
		return wrong("the header X-Layers-Request-Id with an error", "none")
	}
	return nil
}
