package sqldb

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/layers-dev/layers/hack/testenv"
)

func TestSuits(t *testing.T) {
	for text, says := range map[string]string{
		"140000": "", "150018": "", "180001": "", "189999": "",
		"130022": "it is PostgreSQL 13.22, the ledger needs 14.0 or newer", "90624": "it is PostgreSQL 9.6.24", "100023": "it is PostgreSQL 10.23",
		"": "its version is", "15.18": "its version is", "-150018": "its version is",
	} {
		warning, err := suits(text)
		if (err == nil) != (says == "") || err != nil && (!errors.Is(err, ErrServer) || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", text, err)
		}
		if warning != "" {
			t.Errorf("%s: %s", text, warning)
		}
	}
}

// The versions that are refused and warned of are those outside of what `make test-versions` tests.
func TestSuitsWhatIsTested(t *testing.T) {
	tested := testenv.PostgresReleases()
	if oldest := strconv.Itoa(oldestPostgres / 10_000); oldest != tested[0].Name {
		t.Errorf("the oldest is %s, tested is %s", oldest, tested[0])
	}
	if newest := strconv.Itoa(newestPostgres); newest != tested[len(tested)-1].Name {
		t.Errorf("the newest is %s, tested is %s", newest, tested[len(tested)-1])
	}
	warning, err := suits("190002")
	if want := "it is PostgreSQL 19.2, which is newer than what the ledger is tested on, 14 to 18"; warning != want || err != nil {
		t.Errorf("%q, %v instead of %q", warning, err, want)
	}
}
