package verify

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// errorChecks are of what is refused, and how.
func errorChecks() []edge {
	var out []edge
	for _, p := range client.All() {
		// kind is the type of a request that is no good; OpenAI has one for all, Anthropic another for what is not there.
		missing := "invalid_request_error"
		if p.Name() == messages {
			missing = "not_found_error"
		}
		talk := "messages"
		if p.Name() == responses {
			talk = "input"
		}
		bad := func(name string, want refusal, body func(g *gateway) string) edge {
			want.kind = "invalid_request_error"
			return edge{protocol: p.Name(), name: name, run: refuses(p, http.StatusBadRequest, want, body)}
		}
		good := func(g *gateway) string { return string(pong(p, g.named0())) }
		out = append(out,
			edge{protocol: p.Name(), name: "unknown model", run: refuses(p, http.StatusNotFound, refusal{missing, "model_not_found", "model"},
				func(*gateway) string { return string(pong(p, nobody)) })},
			bad("broken JSON", refusal{}, func(g *gateway) string { return strings.TrimSuffix(good(g), "}") }),
			bad("no model", refusal{param: "model"}, func(*gateway) string { return fmt.Sprintf(`{%q:[]}`, talk) }),
			bad("no "+talk, refusal{param: talk}, func(g *gateway) string { return fmt.Sprintf(`{"model":%q,"max_tokens":16}`, g.named0()) }),
			bad("wrong type", refusal{param: talk}, func(g *gateway) string { return fmt.Sprintf(`{"model":%q,"max_tokens":16,%q:7}`, g.named0(), talk) }),
			bad("member twice", refusal{param: "model"}, func(g *gateway) string {
				return fmt.Sprintf(`{"model":%q,`, g.named0()) + strings.TrimPrefix(good(g), "{")
			}),
			edge{protocol: p.Name(), name: "request ids", run: requestIDs(p)},
			edge{protocol: p.Name(), name: "wrong method", run: wrongMethod(p)},
		)
	}
	stored := func(g *gateway) string {
		return fmt.Sprintf(`{"model":%q,"input":"x","previous_response_id":"resp_1"}`, g.named0())
	}
	return append(out,
		edge{protocol: responses, name: "stored conversation", run: refuses(client.Responses{}, http.StatusBadRequest,
			refusal{kind: "invalid_request_error", param: "previous_response_id"}, stored)},
		edge{name: "unknown path", run: unknownPath},
		edge{protocol: messages, name: "token count", run: tokenCount},
	)
}

// named0 is a model that is there, as far as is known.
func (g *gateway) named0() string {
	switch {
	case g.model.id != "":
		return g.model.id
	case len(g.listed) > 0:
		return g.listed[0].id
	}
	return nobody
}

// refuses sends a request that is no good.
func refuses(p client.Protocol, status int, want refusal, body func(*gateway) string) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		got, err := g.post(ctx, p.Path(), []byte(body(g)))
		if err != nil {
			return err
		}
		return got.refused(p, status, want)
	}
}

// requestIDs: the client's id comes back, and ours beside it. The request is refused: it costs nothing.
func requestIDs(p client.Protocol) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		header := g.keyed()
		header.Set("X-Request-Id", "layers-verify-1")
		got, err := g.patient(ctx, http.MethodPost, p.Path(), header, []byte("{}"))
		if err != nil {
			return err
		}
		if theirs, ours := got.header.Get("X-Request-Id"), got.header.Get("X-Layers-Request-Id"); theirs != "layers-verify-1" || ours == "" || ours == theirs {
			return wrong("X-Request-Id as it was sent, and an X-Layers-Request-Id", "%q and %q", theirs, ours)
		}
		return nil
	}
}

func wrongMethod(p client.Protocol) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		got, err := g.patient(ctx, http.MethodDelete, p.Path(), g.keyed(), nil)
		if err != nil {
			return err
		}
		if !strings.Contains(got.header.Get("Allow"), http.MethodPost) {
			return wrong("the header Allow with POST", "%q", got.header.Get("Allow"))
		}
		return got.refused(p, http.StatusMethodNotAllowed, refusal{})
	}
}

func unknownPath(ctx context.Context, g *gateway) error {
	got, err := g.patient(ctx, http.MethodGet, "/v1/layers-verify", g.keyed(), nil)
	if err != nil {
		return err
	}
	return got.refused(client.Completions{}, http.StatusNotFound, refusal{kind: "invalid_request_error"})
}

func tokenCount(ctx context.Context, g *gateway) error {
	if g.model.id == "" {
		return skip{noModel}
	}
	got, err := g.post(ctx, countPath, fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":"How many tokens are these?"}]}`, g.model.id))
	if err != nil {
		return err
	}
	if err := got.good(client.Messages{}, "application/json"); err != nil {
		return err
	}
	var count struct {
		Tokens int64 `json:"input_tokens"`
	}
	if unmarshal(got.body, &count) != nil || count.Tokens < 1 {
		return wrong(`{"input_tokens": at least 1}`, "%s", got.body)
	}
	return nil
}

const noModel = "no model can be called"
