package sdk

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wanted names the recording that a request is to be answered with.
var wanted = regexp.MustCompile(`case:([a-z0-9-]+)`)

// player answers requests with recordings: the one that the prompt names, if it is of the API that is asked.
func player(t *testing.T, all []recording) string {
	t.Helper()
	named := map[string]recording{}
	for _, r := range all {
		named[r.ID] = r
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		found := wanted.FindSubmatch(body)
		if found == nil {
			http.Error(w, "no recording is named", http.StatusBadRequest)
			return
		}
		r := named[string(found[1])]
		if !strings.HasSuffix(req.URL.Path, r.path) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			// A client that is gone cannot be told.
			_, _ = io.WriteString(w, `{"error":{"message":"not recorded","type":"invalid_request_error","code":null,"param":null}}`)
			return
		}
		w.Header().Set("Content-Type", r.contentType)
		_, _ = w.Write(r.body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// minClients is how many of the libraries' ways to ask each recording must be seen by.
const minClients = 3

// TestRecordings shows each library for Node what the providers answered on record: its text, its calls and their arguments.
func TestRecordings(t *testing.T) {
	all := recorded(t)
	node, scripts := nodeScripts(t)
	g := before(t, player(t, all))
	cases, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(file, cases, 0o600); err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(scripts, "recordings.mjs"))
	cmd.Env, cmd.Stderr = append(g.environment(), "LAYERS_CASES="+file), &problems
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s", err, problems.String())
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(out)) {
		if id, ok := strings.CutPrefix(line, "ok "); ok {
			id, _, _ = strings.Cut(id, " ")
			seen[id]++
		} else {
			t.Error(line)
		}
	}
	for _, r := range all {
		if seen[r.ID] < minClients {
			t.Errorf("%s is seen by %d clients", r.ID, seen[r.ID])
		}
	}
}
