package up

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// demoModel is the public name of the model that answers inside the process.
const demoModel = "layers/demo"

// teller speaks to the person who started the process: in sentences, or in log records where logs are JSON.
type teller struct {
	w    io.Writer
	json bool
	log  *slog.Logger
}

// notes tells what is to be known about single objects.
func (t teller) notes(list []note) {
	for _, n := range list {
		switch {
		case t.json && n.bad:
			t.log.Error(n.text)
		case t.json:
			t.log.Warn(n.text)
		case n.bad:
			t.line("Error: " + n.text)
		default:
			t.line("Warning: " + n.text)
		}
	}
}

func (t teller) line(s string) {
	_, _ = fmt.Fprintln(t.w, s) // there is nobody else to tell
}

// place is where it serves.
type place struct {
	API, Admin string
}

// serving says where, and what to paste.
func (t teller) serving(p place, w *world, keyFile, ledgerURL string) {
	models := w.available()
	if t.json {
		t.log.Info("Serving", "providers", w.real, "mode", w.out.Snapshot.Mode, "api", p.API, "admin", p.Admin, "models", len(models), "keys", len(w.out.Keys), "keyFile", keyFile)
		return
	}
	key := "$LAYERS_API_KEY"
	if w.demo() {
		t.line("DEMO MODE: every key that begins with lyr_live_ is taken, nothing is charged, nothing is stored.")
		key = "lyr_live_demo"
		t.providers(w, len(models))
	} else {
		t.line(fmt.Sprintf("Serving. Models: %d, keys: %d.", len(models), len(w.out.Keys)))
	}
	t.line("\n  API      " + p.API + "/v1   (base URL of OpenAI clients; of Anthropic clients without /v1)")
	t.line("  Metrics  " + p.Admin + "/metrics")
	if ledgerURL != "" {
		t.line("  Ledger   " + ledgerURL + "   (layers grant ACCOUNT CREDITS --ledger " + ledgerURL + " --reason TEXT)")
	}
	t.keyFile(w, keyFile)
	if len(models) > 0 {
		t.line("\nTry it:\n\n" + curl(p.API, key, sample(models), false) + "\n\nOr as a stream:\n\n" + curl(p.API, key, sample(models), true))
	}
	if w.demo() {
		t.line("\nTo serve your own models, keys and prices: layers up --manifests DIR")
	}
	t.line("")
}

// providers says which models of a demo are real, and who pays for them.
func (t teller) providers(w *world, available int) {
	if len(w.real) > 0 {
		t.line("Served for real, at the cost of the accounts whose keys are in the environment: " + strings.Join(w.real, ", ") + ".")
	}
	if missing := len(w.out.Snapshot.Models) - available; missing > 0 {
		t.line(fmt.Sprintf("%d models of the catalogue have no key; a request for one says which variable it needs.", missing))
	}
}

// sample is a model to try: one that costs nothing, if there is one.
func sample(models []snapshot.Model) string {
	for _, m := range models {
		if m.PublicName == demoModel {
			return demoModel
		}
	}
	return models[0].PublicName
}

// keyFile says how to use the first generated key; an empty name: there is none.
func (t teller) keyFile(w *world, file string) {
	if file == "" {
		return
	}
	if w.devSecret.Name != "" {
		t.line("\nThe folder declares no APIKey, so there is one that is not metered:")
	}
	t.line("\n  export LAYERS_API_KEY=$(cat " + quote(file) + ")")
}

// reloaded says that the manifests were read again.
func (t teller) reloaded(w *world, keyFile string, toldKey bool) {
	models, keys := len(w.available()), len(w.out.Keys)
	if t.json {
		t.log.Info("Reloaded", "models", models, "keys", keys, "keyFile", keyFile)
		return
	}
	t.line(fmt.Sprintf("Reloaded. Models: %d, keys: %d.", models, keys))
	if !toldKey {
		t.keyFile(w, keyFile)
	}
}

// curl is a request to paste. A model's name needs no quoting (see PublicName in api/v1alpha1).
func curl(api, key, model string, stream bool) string {
	flag, body := "", `{"model":"`+model+`","messages":[{"role":"user","content":"Hello"}]`
	if stream {
		flag, body = "-N ", body+`,"stream":true`
	}
	return "  curl " + flag + api + "/v1/chat/completions \\\n" +
		"    -H \"Authorization: Bearer " + key + "\" -H 'Content-Type: application/json' \\\n" +
		"    -d '" + body + "}'"
}

// quote makes a path one word of a shell.
func quote(path string) string {
	if strings.Trim(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// ready writes the one line that scripts wait for.
func ready(w io.Writer, p place) error {
	line, err := json.Marshal(struct {
		Ready   bool   `json:"ready"`
		API     string `json:"api"`
		Console string `json:"console"`
		Admin   string `json:"admin"`
	}{Ready: true, API: p.API, Admin: p.Admin})
	if err != nil {
		return fmt.Errorf("writing the ready line: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
		return fmt.Errorf("writing the ready line: %w", err)
	}
	return nil
}
