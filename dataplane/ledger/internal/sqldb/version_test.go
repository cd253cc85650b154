package sqldb

import (
	"errors"
	"strings"
	"testing"
)

func TestSuits(t *testing.T) {
	for text, says := range map[string]string{
		"140000": "", "150018": "", "180001": "",
		"130022": "it is PostgreSQL 13.22, the ledger needs 14.0 or newer", "90624": "it is PostgreSQL 9.6.24", "100023": "it is PostgreSQL 10.23",
		"": "its version is", "15.18": "its version is", "-150018": "its version is",
	} {
		err := suits(text)
		if (err == nil) != (says == "") || err != nil && (!errors.Is(err, ErrServer) || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
