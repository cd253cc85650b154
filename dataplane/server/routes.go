package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// modelsPath is followed by a model's name, slashes and all.
const modelsPath = "/v1/models/"

// methods is what one path offers.
type methods map[string]http.Handler // by method

// api builds the tree of the API.
func (s *Server) api() http.Handler {
	completions := s.handle("chat", chat.Completions, s.infer(chat.Completions))
	list, one := s.byHeader("models", s.listModels), s.byHeader("model", s.getModel)
	health := s.handle("health", chat.Completions, s.health)
	routes := map[string]methods{
		"/v1/chat/completions": {http.MethodPost: completions},
		"/api/v1/chat":         {http.MethodPost: completions, http.MethodGet: health, http.MethodHead: health},
		"/v1/models":           {http.MethodGet: list, http.MethodHead: list},
		"/v1/estimate":         {http.MethodPost: s.byHeader("estimate", s.estimate)},
	}
	for path, protocol := range map[string]chat.Protocol{
		"/v1/messages": chat.Messages, "/v1/messages/count_tokens": chat.CountTokens,
		"/v1/responses": chat.Responses, "/v1/embeddings": chat.Embeddings,
	} {
		if s.o.Dialects[protocol] != nil {
			routes[path] = methods{http.MethodPost: s.handle(string(protocol), protocol, s.infer(protocol))}
		}
	}
	receipt := s.handle("usage", chat.Completions, s.usage)
	below := map[string]methods{
		modelsPath: {http.MethodGet: one, http.MethodHead: one},
		usagePath:  {http.MethodGet: receipt, http.MethodHead: receipt},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, ok := routes[r.URL.Path]
		for prefix, m := range below {
			if strings.HasPrefix(r.URL.Path, prefix) && len(r.URL.Path) > len(prefix) {
				found, ok = m, true
			}
		}
		switch h := found[r.Method]; {
		case !ok:
			s.byHeader("none", notFound).ServeHTTP(w, r)
		case h == nil:
			s.byHeader("none", notAllowed(found)).ServeHTTP(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// byHeader is handle for what has no protocol of its own: clients that say so in a header get Anthropic's shapes.
func (s *Server) byHeader(route string, h handler) http.Handler {
	openAI, anthropic := s.handle(route, chat.Completions, h), s.handle(route, chat.Messages, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.anthropic(r) {
			anthropic.ServeHTTP(w, r)
			return
		}
		openAI.ServeHTTP(w, r)
	})
}

// anthropic says that a client speaks Anthropic's protocol: its API requires the header in every request.
func (s *Server) anthropic(r *http.Request) bool {
	return r.Header.Get("Anthropic-Version") != "" && s.o.Dialects[chat.Messages] != nil
}

func notFound(_ *answer, r *http.Request, _ *observe.Record) error {
	return &chat.Error{Status: http.StatusNotFound, Type: typeRequest, Code: "not_found", Message: "Unknown request URL: " + r.Method + " " + clip(r.URL.Path, 128) + "."}
}

func notAllowed(found methods) handler {
	names := make([]string, 0, len(found))
	for m := range found {
		names = append(names, m)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	return func(w *answer, r *http.Request, _ *observe.Record) error {
		w.Header().Set("Allow", allow)
		return &chat.Error{Status: http.StatusMethodNotAllowed, Type: typeRequest, Code: "method_not_allowed", Message: "Method not allowed: " + clip(r.URL.Path, 128) + " takes " + allow + "."}
	}
}

// writeJSON answers 200 with a body that is JSON already.
func (s *Server) writeJSON(w *answer, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	s.writeDeadline(w)
	_, _ = w.Write(body) // a client that is gone cannot be told
}

// health says what this is and whether it serves; it needs no key.
func (s *Server) health(w *answer, _ *http.Request, _ *observe.Record) error {
	x := s.o.Source.Current()
	if x == nil || !s.serves(x) {
		return errNotConfigured("no configuration has arrived yet.")
	}
	out := map[string]string{"status": "ok", "service": "layers", "version": s.o.Version, "mode": string(x.Mode)}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	s.writeJSON(w, body)
	return nil
}

// listModels lists what the key may use.
func (s *Server) listModels(w *answer, r *http.Request, rec *observe.Record) error {
	c, err := s.reader(w, r, rec)
	if err != nil {
		return err
	}
	var models []*snapshot.Model
	for i := range c.x.Models {
		if m := &c.x.Models[i]; listed(m) && c.allowed(m) == nil {
			models = append(models, m)
		}
	}
	slices.SortFunc(models, func(a, b *snapshot.Model) int { return strings.Compare(a.PublicName, b.PublicName) })
	if s.anthropic(r) {
		s.writeJSON(w, anthropic.ModelList(infos(models, anthropic.Info)))
		return nil
	}
	s.writeJSON(w, openai.ModelList(infos(models, c.info)))
	return nil
}

// getModel shows one model, by its public name or an alias.
func (s *Server) getModel(w *answer, r *http.Request, rec *observe.Record) error {
	c, err := s.reader(w, r, rec)
	if err != nil {
		return err
	}
	m, err := c.model(strings.TrimPrefix(r.URL.Path, modelsPath))
	if err != nil {
		return err
	}
	rec.Model = m.PublicName
	if s.anthropic(r) {
		s.writeJSON(w, anthropic.ModelObject(anthropic.Info(m)))
		return nil
	}
	s.writeJSON(w, openai.ModelObject(c.info(m)))
	return nil
}

// infos makes each model what one protocol's list shows of it.
func infos[T any](models []*snapshot.Model, info func(*snapshot.Model) T) []T {
	out := make([]T, 0, len(models))
	for _, m := range models {
		out = append(out, info(m))
	}
	return out
}

// AdminHandler is /healthz, /readyz and /metrics.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.draining.Load():
			plain(w, http.StatusServiceUnavailable, "draining")
		case !s.Ready():
			plain(w, http.StatusServiceUnavailable, "AI Gateway not configured")
		default:
			plain(w, http.StatusOK, "ok")
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{Registry: s.o.Registry}))
	return mux
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a prober that is gone cannot be told
}

// AckHandler tells the operator, which has the token from the snapshot, which snapshot is served: GET /snapshot.
func (s *Server) AckHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /snapshot", func(w http.ResponseWriter, r *http.Request) {
		x := s.o.Source.Current()
		if x == nil || !sameToken(bearer(r), x.AckToken) {
			plain(w, http.StatusUnauthorized, "unauthorized")
			return
		}
		told := struct {
			Hash     string   `json:"hash"`
			Sequence int64    `json:"sequence"`
			Degraded []string `json:"degraded,omitempty"` // stores that cannot be reached
		}{Hash: x.Hash, Sequence: x.Sequence}
		if s.o.Degraded != nil {
			told.Degraded = s.o.Degraded()
		}
		body, err := json.Marshal(told)
		if err != nil {
			plain(w, http.StatusInternalServerError, "error")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // as above
	})
	return mux
}

// sameToken compares in constant time; an empty token matches nothing.
func sameToken(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return want != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
