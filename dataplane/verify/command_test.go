package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// runCommand runs `layers verify` with arguments.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, problems bytes.Buffer
	root := &cobra.Command{Use: "layers", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(NewCommand())
	root.SetArgs(append([]string{"verify"}, args...))
	root.SetOut(&out)
	root.SetErr(&problems)
	err = root.ExecuteContext(t.Context())
	return out.String(), problems.String(), err
}

// noKeys clears the environment of every key that a suite reads.
func noKeys(t *testing.T) {
	t.Helper()
	t.Setenv(EnvURL, "")
	t.Setenv(EnvKey, "")
	for _, p := range providers {
		for _, v := range p.variables {
			t.Setenv(v, "")
		}
	}
}

// lastLine is what a script reads.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[len(lines)-1]
}

// TestExit: what fails fails the command, what is skipped does not, and the last line always says how many.
func TestExit(t *testing.T) {
	noKeys(t)
	good, bad := newFake(), newFake()
	faults["usage comes unasked"].put(bad)
	goodURL, badURL := served(t, good), served(t, bad)
	one := []string{"--model", fakePlain}
	for name, test := range map[string]struct {
		args []string
		want error
		last string
	}{
		"good":             {append([]string{"gateway", "--url", goodURL, "--key", fakeKey}, one...), nil, " passed, 0 failed, "},
		"bad":              {[]string{"gateway", "--url", badURL, "--key", fakeKey, "--model", fakeModel, "--capability", "Text,Streaming"}, ErrFailed, " passed, 1 failed, "},
		"no provider":      {[]string{"upstream"}, nil, "0 passed, 0 failed, 6 skipped"},
		"one without key":  {[]string{"upstream", "--provider", "morph"}, nil, "0 passed, 0 failed, 1 skipped"},
		"nobody is there":  {append([]string{"gateway", "--url", "http://127.0.0.1:1", "--key", fakeKey}, one...), ErrFailed, " failed, "},
		"the key is wrong": {append([]string{"gateway", "--url", goodURL, "--key", "lyr_live_other"}, one...), ErrFailed, " failed, "},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, _, err := runCommand(t, test.args...)
			if !errors.Is(err, test.want) || !strings.Contains(lastLine(stdout), test.last) {
				t.Errorf("%v, want %v; the last line is %q, want %q\n%s", err, test.want, lastLine(stdout), test.last, stdout)
			}
			if strings.Contains(stdout, fakeKey) || strings.Contains(stdout, "lyr_live_other") {
				t.Errorf("the key is told:\n%s", stdout)
			}
		})
	}
}

func served(t *testing.T, f *fake) string {
	t.Helper()
	f.now = time.Now
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// TestEnvironment: address and key may be in the environment, and flags win.
func TestEnvironment(t *testing.T) {
	noKeys(t)
	t.Setenv(EnvURL, served(t, newFake()))
	t.Setenv(EnvKey, fakeKey)
	if out, _, err := runCommand(t, "gateway", "--model", fakePlain); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err := runCommand(t, "gateway", "--model", fakePlain, "--key", "lyr_live_other"); !errors.Is(err, ErrFailed) {
		t.Errorf("the flag does not win: %v", err)
	}
}

// TestRefused: options that name nothing to verify are errors that say what is missing.
func TestRefused(t *testing.T) {
	noKeys(t)
	for want, args := range map[string][]string{
		"--url or LAYERS_API_URL, --key or LAYERS_API_KEY": {"gateway"},
		"is not one like https://":                         {"gateway", "--url", "gateway.test", "--key", fakeKey},
		"there is no provider \"acme\"":                    {"upstream", "--provider", "acme"},
		"are of one provider":                              {"upstream", "--base-url", "https://x.test"},
		"unknown command":                                  {"gateway", "more"},
	} {
		if _, _, err := runCommand(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

// TestJSON: one object on stdout, the summary on stderr, and the same report in both.
func TestJSON(t *testing.T) {
	noKeys(t)
	stdout, stderr, err := runCommand(t, "gateway", "--url", served(t, newFake()), "--key", fakeKey, "--model", fakePlain, "--json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	var r Report
	if err := d.Decode(&r); err != nil || d.More() {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if got := strings.TrimSpace(stderr); got != r.Summary() || r.Passed == 0 || len(r.Checks) != r.Passed+r.Failed+r.Skipped {
		t.Errorf("stderr %q, the report has %s", got, r.Summary())
	}
}

// sample is a report with one of everything.
func sample() Report {
	r := Report{Suite: "gateway", Target: "https://gateway.test", Checks: []Result{}}
	r.add(
		Result{Subject: "gateway", Check: "no key", Milliseconds: 3}.judged(nil, "other-key"),
		Result{Subject: "acme/all", Protocol: messages, Check: "text, streamed", Milliseconds: 12}.judged(wrong("<a> & b", "secret-key and\nmore\x1b[31m"), "secret-key"),
		Result{Subject: "acme/all", Protocol: responses, Check: "thinking"}.judged(skip{"the model does not have Thinking"}, "other-key"),
		Result{Subject: "acme/all", Protocol: responses, Check: "thinking, streamed"}.judged(skip{"the model does not have Thinking"}, "other-key"),
		Result{Subject: "gateway", Check: "estimate"}.judged(context.DeadlineExceeded, "other-key"),
	)
	return r
}

// TestGolden: what scripts and people read is what is in testdata.
func TestGolden(t *testing.T) {
	for name, write := range map[string]func(Report, *bytes.Buffer) error{
		"report.json": func(r Report, b *bytes.Buffer) error { return r.WriteJSON(b) },
		"report.txt":  func(r Report, b *bytes.Buffer) error { return r.WriteTable(b) },
	} {
		var b bytes.Buffer
		if err := write(sample(), &b); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := sample().Summary(); got != "1 passed, 2 failed, 2 skipped" {
		t.Error(got)
	}
}
