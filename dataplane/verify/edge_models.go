package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// unmarshal reads JSON.
func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// String is for people.
func (r refusal) String(status int) string {
	out := fmt.Sprintf("%d", status)
	for _, one := range []struct{ name, value string }{{"type", r.kind}, {"code", r.code}, {"param", r.param}} {
		if one.value != "" {
			out += fmt.Sprintf(", %s %q", one.name, one.value)
		}
	}
	return out
}

// modelChecks are of what is offered.
func modelChecks() []edge {
	return []edge{
		{name: "model list", run: modelList},
		{name: "model by name", run: modelByName},
		{name: "model list in Anthropic's shape", protocol: messages, run: anthropicList},
		{name: "unknown model by name", run: unknownByName},
	}
}

// listed is a model of the list.
type listed struct {
	ID           string          `json:"id"`
	Object       string          `json:"object"`
	Capabilities json.RawMessage `json:"capabilities"`
}

// capabilities are those that the list tells: an array of words, or an object of booleans; nil: it tells none.
func (l listed) capabilities() []string {
	var words []string
	if json.Unmarshal(l.Capabilities, &words) == nil && words != nil {
		return words
	}
	var flags map[string]bool
	if json.Unmarshal(l.Capabilities, &flags) != nil || flags == nil {
		return nil
	}
	words = []string{}
	for name, on := range flags {
		if on {
			words = append(words, name)
		}
	}
	return words
}

func modelList(ctx context.Context, g *gateway) error {
	var list struct {
		Object string
		Data   []listed
	}
	got, err := g.read(ctx, modelsPath, &list)
	if err != nil {
		return err
	}
	if list.Object != "list" || len(list.Data) == 0 {
		return wrong("a list with models", "%s", got.body)
	}
	seen := map[string]bool{}
	for _, l := range list.Data {
		if l.ID == "" || l.Object != "model" || seen[l.ID] {
			return wrong("models with ids of their own and the object model", "%+v", l)
		}
		seen[l.ID] = true
		g.listed = append(g.listed, g.overridden(model{l.ID, l.capabilities()}))
	}
	return nil
}

func modelByName(ctx context.Context, g *gateway) error {
	if len(g.listed) == 0 {
		return skip{"no model is listed"}
	}
	id := g.listed[0].id
	var one listed
	got, err := g.read(ctx, modelsPath+"/"+(&url.URL{Path: id}).EscapedPath(), &one)
	if err != nil {
		return err
	}
	if one.ID != id || one.Object != "model" {
		return wrong("the model "+id, "%s", got.body)
	}
	return nil
}

func anthropicList(ctx context.Context, g *gateway) error {
	header := g.keyed()
	header.Set("Anthropic-Version", "2023-06-01")
	got, err := g.patient(ctx, http.MethodGet, modelsPath, header, nil)
	if err != nil {
		return err
	}
	if err := got.good(client.Messages{}, "application/json"); err != nil {
		return err
	}
	var list struct {
		Data []struct {
			Type string `json:"type"`
			ID   string `json:"id"`
			Name string `json:"display_name"`
		} `json:"data"`
		More  *bool   `json:"has_more"`
		First *string `json:"first_id"`
	}
	if unmarshal(got.body, &list) != nil || list.More == nil || list.First == nil || len(list.Data) == 0 {
		return wrong("a page with data, has_more and first_id", "%s", got.body)
	}
	for _, m := range list.Data {
		if m.Type != "model" || m.ID == "" || m.Name == "" {
			return wrong("models with type, id and display_name", "%+v", m)
		}
	}
	return nil
}

// nobody is a model that no gateway has.
const nobody = "layers-verify/no-such-model"

func unknownByName(ctx context.Context, g *gateway) error {
	got, err := g.patient(ctx, http.MethodGet, modelsPath+"/"+nobody, g.keyed(), nil)
	if err != nil {
		return err
	}
	return got.refused(client.Completions{}, http.StatusNotFound, refusal{kind: "invalid_request_error", code: "model_not_found", param: "model"})
}

// asks are requests that need one capability each.
var asks = map[string]client.Ask{
	canSee:    {Turns: []client.Turn{{Text: "Which colour?", Image: []byte("png")}}},
	canTools:  {Turns: user("What time is it?"), Tools: []client.Tool{now}},
	canJSON:   {Turns: user("Answer in JSON."), JSON: true},
	canThink:  {Turns: user("Think."), Think: true},
	canSearch: {Turns: user("Search."), Search: true},
}

// undeclared are checks that a model refuses what it does not have, and names it.
func undeclared(m model) []edge {
	if m.can == nil {
		return nil
	}
	var out []edge
	for _, capability := range []string{canSee, canTools, canJSON, canThink, canSearch} {
		if m.has(capability) {
			continue
		}
		p := client.Completions{}
		ask := asks[capability]
		ask.Model, ask.Limit = m.id, shortest
		out = append(out, edge{m.id, p.Name(), "without " + capability, func(ctx context.Context, g *gateway) error {
			got, err := g.post(ctx, p.Path(), p.Body(ask))
			if err != nil {
				return err
			}
			if err := got.refused(p, http.StatusBadRequest, refusal{kind: "invalid_request_error", code: "unsupported_capability"}); err != nil {
				return err
			}
			if !strings.Contains(string(got.body), capability) {
				return wrong("a refusal that names "+capability, "%s", got.body)
			}
			return nil
		}})
	}
	return out
}
