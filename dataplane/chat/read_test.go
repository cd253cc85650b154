package chat

import (
	"errors"
	"testing"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

func TestCollect(t *testing.T) {
	names := NewNames("model", "input")
	for body, want := range map[string]string{
		`{"input":"x","other":1,"model":"m"}`: "",
		`{"other":1}`:                         "",
		`{"model":"m","mod\u0065l":"n"}`:      "duplicate_parameter model",
		`{"model":"m","INPUT":"n"}`:           "unknown_parameter input",
	} {
		fields, err := jsonscan.Scan([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		values, err := names.Collect(&Request{Body: []byte(body), Fields: fields})
		got, failed := "", (*Error)(nil)
		if errors.As(err, &failed) {
			got = failed.Code + " " + failed.Param
		}
		if got != want || err == nil && len(values) != 2 {
			t.Errorf("%s: %q, want %q; %q", body, got, want, values)
		}
	}
}
