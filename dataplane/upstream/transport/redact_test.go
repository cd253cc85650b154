package transport

import "testing"

func TestRedact(t *testing.T) {
	a := &Answer{credential: "the-credential"}
	for text, want := range map[string]string{
		"no the-credential here":                         "no [redacted] here",
		"Incorrect API key provided: sk-proj-abcdef1234": "Incorrect API key provided: [redacted]",
		"for consumer 'project_number:123456789012'.":    "for consumer '[redacted]'.",
		"projects/123456789012/locations":                "[redacted]/locations",
		"my projects/alpha, project 12":                  "my projects/alpha, project 12",
		"in org-abcdefgh123 with AIzaSyA1234567890":      "in [redacted] with [redacted]",
		"Authorization: Bearer abc.def":                  "Authorization: [redacted]",
		"nothing secret, user 5":                         "nothing secret, user 5",
	} {
		if got := a.Redact(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}
