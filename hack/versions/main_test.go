package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/hack/testenv"
)

func TestChoose(t *testing.T) {
	for names, want := range map[string][2]string{
		"":               {"6.2 8.2 valkey-9.1", "14 18"},
		"all":            {"6.2 8.2 valkey-9.1", "14 15 16 17 18"},
		"16":             {"", "16"},
		"6.2 14 18":      {"6.2", "14 18"},
		"valkey-9.1 all": {"6.2 8.2 valkey-9.1", "14 15 16 17 18"},
	} {
		got, err := choose(suites(), strings.Fields(names))
		if err != nil {
			t.Fatal(err)
		}
		var chosen [2]string
		for i, s := range got {
			var of []string
			for _, r := range s.releases {
				of = append(of, r.Name)
			}
			chosen[i] = strings.Join(of, " ")
		}
		if diff := cmp.Diff(want, chosen); diff != "" {
			t.Errorf("%q: %s", names, diff)
		}
	}
	if err := run(t.Context(), []string{"5.0"}, os.Stdout, os.Stderr); err == nil || !strings.Contains(err.Error(), "5.0") {
		t.Errorf("a version that is not there: %v", err)
	}
}

// TestClaims: what is said of versions, wherever it is said, is what is tested.
func TestClaims(t *testing.T) {
	redis, postgres := testenv.RedisReleases(), testenv.PostgresReleases()
	var of = map[string][]string{}
	for _, r := range redis {
		of[r.Server] = append(of[r.Server], strings.TrimPrefix(r.Name, "valkey-"))
	}
	stores := fmt.Sprintf("Redis %s to %s or Valkey %s", of["Redis"][0], of["Redis"][len(of["Redis"])-1], strings.Join(of["Valkey"], " to "))
	ledger := fmt.Sprintf("PostgreSQL %s to %s", postgres[0].Name, postgres[len(postgres)-1].Name)
	for path, claims := range map[string][]string{
		"README.md":                            {stores, ledger},
		"dataplane/console/docs/quickstart.md": {stores, ledger},
		"dataplane/console/docs/money.md":      {ledger},
		"dataplane/console/docs/testing.md":    {stores, ledger},
		"dataplane/console/docs/reference.md":  {stores, ledger},
		"api/v1alpha1/aigateway_types.go":      {stores, ledger},
		"config/samples/secrets.yaml":          {stores, ledger},
		"dataplane/admit/redis.go":             {stores},
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, claim := range claims {
			if !bytes.Contains(text, []byte(claim)) {
				t.Errorf("%s does not say %s", path, claim)
			}
		}
		if other := openEnded.FindString(string(text)); other != "" {
			t.Errorf("%s says %q: no such version is tested", path, other)
		}
	}
}

// openEnded finds claims of whatever version may come.
var openEnded = regexp.MustCompile(`(Redis|Valkey|PostgreSQL) \(?[0-9.]+ (or (later|newer)|and (later|newer))`)

func TestOpenEndedIsFound(t *testing.T) {
	for text, want := range map[string]bool{
		"a Redis (6.2 or later)": true, "PostgreSQL 14 or newer": true, "Redis 6.2 to 8.2": false, "PostgreSQL older than 14": false,
	} {
		if got := openEnded.MatchString(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
