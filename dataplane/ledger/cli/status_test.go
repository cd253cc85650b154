package cli_test

import "testing"

func TestSuspendAndResume(t *testing.T) {
	url, l := fresh(t)
	said(t, "grant", "acme", "5", "--ledger", url, "--reason", "x")
	for _, c := range []struct {
		args      []string
		want      string
		suspended bool
	}{
		{[]string{"suspend", "--account", "acme"}, "default/acme is suspended", true},
		{[]string{"suspend", "--account", "default/acme"}, "default/acme is suspended", true},
		{[]string{"resume", "--account", "default/acme"}, "default/acme is active", false},
	} {
		if got := said(t, append(append([]string{"ledger"}, c.args...), "--ledger", url, "--reason", "chargeback")...); got != c.want {
			t.Errorf("%v said %q, want %q", c.args, got, c.want)
		}
		if a, err := l.Account(t.Context(), "default/acme"); err != nil || a.Suspended != c.suspended {
			t.Errorf("%v: %+v, %v", c.args, a, err)
		}
	}
	for name, args := range map[string][]string{
		"no reason": {"suspend", "--account", "acme"}, "empty reason": {"suspend", "--account", "acme", "--reason", " "},
		"no account": {"suspend", "--reason", "x"}, "nobody": {"suspend", "--account", "nobody", "--reason", "x"},
		"nobody resumes": {"resume", "--account", "nobody", "--reason", "x"}, "two accounts": {"suspend", "acme", "--account", "acme", "--reason", "x"},
		"no name": {"resume", "--account", "", "--reason", "x"},
	} {
		if out, err := layers(t, append([]string{"ledger", args[0], "--ledger", url}, args[1:]...)...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
	if a, err := l.Account(t.Context(), "default/acme"); err != nil || a.Suspended {
		t.Errorf("%+v, %v", a, err)
	}
}
