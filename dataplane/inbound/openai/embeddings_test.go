package openai

import (
	"net/http"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestEmbeddings(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"m","input":"text"}`:                                          "",
		`{"model":"m","input":["a","b"],"encoding_format":"base64"}`:            "",
		`{"model":"m","input":[1,2,3],"dimensions":256}`:                        "",
		`{"model":"m","input":[[1,2],[3]]}`:                                     "",
		`{"input":"text"}`:                                                      "missing_required_parameter",
		`{"model":"m"}`:                                                         "missing_required_parameter",
		`{"model":"m","input":null}`:                                            "missing_required_parameter",
		`{"model":"m","input":""}`:                                              "empty_string",
		`{"model":"m","input":[]}`:                                              "empty_array",
		`{"model":"m","input":{"a":1}}`:                                         "invalid_type",
		`{"model":"m","input":[null]}`:                                          "invalid_type",
		`{"model":"m","input":[1.5]}`:                                           "invalid_type",
		`{"model":1,"input":"x"}`:                                               "invalid_type",
		`{"model":"m","MODEL":"n","input":"x"}`:                                 "unknown_parameter",
		`{"model":"m","mod\u0065l":"n","input":"x"}`:                            "duplicate_parameter",
		`{"model":"m","input":"x","input":"a much longer text that is dearer"}`: "duplicate_parameter",
		`[]`:      "invalid_json",
		`{"model`: "invalid_json",
	} {
		r, err := Embeddings{}.Parse("req", http.Header{}, []byte(body))
		switch {
		case err == nil && want != "" || err != nil && err.Code != want:
			t.Errorf("%s: %v, want %q", body, err, want)
		case err == nil && (r.Model != "m" || r.Protocol != chat.Embeddings || r.Translate != nil || r.InputBytes != int64(len(body))):
			t.Errorf("%s: %+v", body, r)
		case err != nil && err.Status != 400:
			t.Errorf("%s: status %d", body, err.Status)
		}
	}
}
