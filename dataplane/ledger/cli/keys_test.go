package cli_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/ledger/cli"
	"github.com/layers-dev/layers/hack/testenv"
)

// desk is a ledger and what `layers keys` does to it.
type desk struct {
	*testing.T
	ledger.Ledger
	url string
}

func newDesk(t *testing.T) *desk {
	t.Setenv(cli.EnvRedisURL, "")
	url := "sqlite:" + filepath.Join(t.TempDir(), "l.db")
	said(t, "migrate", "--ledger", url)
	l, err := ledger.Open(t.Context(), url, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return &desk{t, l, url}
}

// keys runs `layers keys` with something on standard input and answers its two outputs.
func (d *desk) keys(stdin string, args ...string) (out, warned string, err error) {
	d.Helper()
	root := &cobra.Command{Use: "layers", SilenceErrors: true}
	root.AddCommand(cli.NewKeysCommand())
	var stdout, stderr strings.Builder
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append(append([]string{"keys"}, args...), "--ledger", d.url))
	err = root.ExecuteContext(d.Context())
	return strings.TrimSpace(stdout.String()), stderr.String(), err
}

// ok is keys for what must work.
func (d *desk) ok(args ...string) (out, warned string) {
	d.Helper()
	out, warned, err := d.keys("", args...)
	if err != nil {
		d.Fatalf("layers keys %v: %v\n%s", args, err, warned)
	}
	return out, warned
}

// row is the row of a plain key.
func (d *desk) row(plain string) ledger.Key {
	d.Helper()
	k, err := d.KeyByDigest(d.Context(), keys.Digest(plain))
	if err != nil {
		d.Fatal(err)
	}
	return k
}

// object makes the row of an object.
func (d *desk) object(name, gateway string) ledger.Key {
	d.Helper()
	k, err := d.UpsertKey(d.Context(), ledger.KeyUpsert{Key: ledger.Key{
		Digest: keys.Digest(name), Name: name, Account: "default/acme", State: ledger.KeyActive, Source: "kubernetes", ClusterUID: "c",
		GatewayUID: gateway, ObjectUID: name, ObjectName: name,
	}})
	if err != nil {
		d.Fatal(err)
	}
	return k
}

func TestKeysCreate(t *testing.T) {
	d := newDesk(t)
	plain, told := d.ok("create", "--account", "acme", "--name", "laptop", "--tier", "pro", "--policy", "team/prepaid", "--user", "u1",
		"--scopes", "Inference", "--models", "a,b", "--cap", "500", "--cap-period", "Day", "--expires", "2100-01-02", "--gateway-uid", "g1")
	if err := keys.Parse(plain); err != nil {
		t.Fatalf("%v: %d lines", err, strings.Count(plain, "\n"))
	}
	k := d.row(plain)
	want := ledger.Key{
		ID: k.ID, Digest: keys.Digest(plain), Prefix: keys.Prefix(plain), Name: "laptop", Account: "default/acme", Tier: "default/pro",
		Policy: "team/prepaid", UserID: "u1", Scopes: []string{"Inference"}, Models: []string{"a", "b"}, CapAmount: 5_000_000_000,
		CapPeriod: "Day", ExpiresAt: time.Date(2100, 1, 2, 0, 0, 0, 0, time.UTC).UnixMicro(),
		State: ledger.KeyActive, Version: k.Version, Source: "cli", GatewayUID: "g1",
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(told, k.ID) || strings.Contains(told, plain) {
		t.Errorf("standard error: %s", told)
	}
	other, _ := d.ok("create", "--account", "acme") // the one gateway that the ledger knows by now
	if k := d.row(other); other == plain || k.GatewayUID != "g1" || k.ExpiresAt != 0 || k.CapAmount != 0 || k.Tier != "" || k.Scopes != nil {
		t.Errorf("%+v", k)
	}
}

func TestKeysCreateRefused(t *testing.T) {
	d := newDesk(t)
	for name, args := range map[string][]string{
		"no account":       {"--gateway-uid", "g"},
		"no gateway known": {"--account", "a"},
		"unknown scope":    {"--account", "a", "--gateway-uid", "g", "--scopes", "Admin"},
		"unknown period":   {"--account", "a", "--gateway-uid", "g", "--cap", "1", "--cap-period", "Week"},
		"no amount":        {"--account", "a", "--gateway-uid", "g", "--cap", "much"},
		"negative cap":     {"--account", "a", "--gateway-uid", "g", "--cap", "-1"},
		"cap of nothing":   {"--account", "a", "--gateway-uid", "g", "--cap", "0.00"},
		"over":             {"--account", "a", "--gateway-uid", "g", "--expires", "2020-01-01"},
		"ends now":         {"--account", "a", "--gateway-uid", "g", "--expires", "0s"},
		"no time":          {"--account", "a", "--gateway-uid", "g", "--expires", "tomorrow"},
		"system account":   {"--account", "system/revenue", "--gateway-uid", "g"},
	} {
		if out, _, err := d.keys("", append([]string{"create"}, args...)...); err == nil || strings.Contains(out, keys.LivePrefix) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	d.object("default/one", "g1")
	d.object("default/two", "g2")
	if _, _, err := d.keys("", "create", "--account", "a"); err == nil || !strings.Contains(err.Error(), "g1, g2") {
		t.Errorf("two gateways: %v", err)
	}
	if all, err := d.ListKeys(t.Context(), ""); err != nil || len(all) != 2 {
		t.Errorf("%d keys, %v", len(all), err)
	}
}

func TestKeysExpireAfterADuration(t *testing.T) {
	d := newDesk(t)
	began := time.Now()
	plain, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g", "--expires", "720h")
	if ends := time.UnixMicro(d.row(plain).ExpiresAt); ends.Before(began.Add(720*time.Hour-time.Second)) || ends.After(time.Now().Add(720*time.Hour)) {
		t.Errorf("it ends at %s", ends)
	}
}

func TestKeysList(t *testing.T) {
	d := newDesk(t)
	plain, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g1", "--name", "laptop", "--cap", "2.5", "--expires", "2100-01-02")
	gone, _ := d.ok("create", "--account", "team/other")
	d.ok("revoke", d.row(gone).ID)
	object := d.object("default/dev", "g1")
	table, _ := d.ok("list")
	lines := strings.Split(table, "\n")
	for i, want := range []string{
		`^ID +KEY +NAME +ACCOUNT +STATE +TIER +CAP +EXPIRES +SOURCE$`,
		`^` + d.row(plain).ID + ` +lyr_live_.{6}\.\.\. +laptop +default/acme +active +- +2\.5 a month +2100-01-02T00:00:00Z +cli$`,
		`^` + object.ID + ` +- +default/dev +default/acme +active +- +- +- +kubernetes$`,
	} {
		if i >= len(lines) || !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is no %s:\n%s", i, want, table)
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d lines:\n%s", len(lines), table)
	}
	text, _ := d.ok("list", "--all", "--account", "team/other", "--output", "json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 || list[0]["state"] != "revoked" || list[0]["account"] != "team/other" {
		t.Errorf("%v %s", err, text)
	}
	if at, err := time.Parse(time.RFC3339, list[0]["createdAt"].(string)); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("made at %v, %v", list[0]["createdAt"], err)
	}
	if text, _ := d.ok("list", "--account", "none", "--output", "json"); text != "[]" {
		t.Errorf("nobody's keys: %s", text)
	}
	all, _ := d.ok("list", "--all", "--output", "json")
	for _, secret := range []string{plain, gone, keys.Digest(plain), object.Digest} {
		if strings.Contains(all+table, secret) {
			t.Error("a secret is listed")
		}
	}
	if _, _, err := d.keys("", "list", "--output", "yaml"); err == nil {
		t.Error("an unknown form")
	}
}

func TestKeysListSaysExpired(t *testing.T) {
	d := newDesk(t)
	plain, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g1")
	d.ok("rotate", d.row(plain).ID, "--overlap", "0s")
	if table, _ := d.ok("list"); strings.Count(table, " expired ") != 1 || strings.Count(table, " active ") != 1 {
		t.Errorf("list says\n%s", table)
	}
}

func TestKeysRotate(t *testing.T) {
	d := newDesk(t)
	old, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g1", "--name", "laptop")
	plain, told := d.ok("rotate", d.row(old).ID, "--overlap", "1h")
	before, after := d.row(old), d.row(plain)
	if left := time.Until(time.UnixMicro(before.ExpiresAt)); left <= 59*time.Minute || left > time.Hour {
		t.Errorf("it goes on for %s", left)
	}
	if after.Name != "laptop" || after.ExpiresAt != 0 || after.Prefix != keys.Prefix(plain) || !strings.Contains(told, "within 60 seconds") {
		t.Errorf("%+v\n%s", after, told)
	}
	if out, _, err := d.keys("", "rotate", before.ID); !errors.Is(err, ledger.ErrConflict) || out != "" {
		t.Errorf("rotated twice: %v %s", err, out)
	}
}

func TestKeysAreFound(t *testing.T) {
	d := newDesk(t)
	for name, arg := range map[string]func(plain string) (stdin, arg string){
		"id":     func(plain string) (string, string) { return "", d.row(plain).ID },
		"digest": func(plain string) (string, string) { return "", keys.Digest(plain) },
		"upper":  func(plain string) (string, string) { return "", strings.ToUpper(keys.Digest(plain)) },
		"plain":  func(plain string) (string, string) { return plain + "\n", "-" },
	} {
		plain, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g1")
		stdin, arg := arg(plain)
		if out, _, err := d.keys(stdin, "revoke", arg); err != nil || d.row(plain).State != ledger.KeyRevoked || strings.Contains(out, plain) {
			t.Errorf("by %s: %v", name, err)
		}
	}
	plain, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g1")
	_, _, err := d.keys("", "revoke", plain)
	if err == nil || strings.Contains(err.Error(), plain) || d.row(plain).State != ledger.KeyActive {
		t.Errorf("the key itself as an argument: %v", err)
	}
	for _, arg := range []string{"key_none", keys.Digest("none"), "laptop", "-"} {
		if _, _, err := d.keys("", "revoke", arg); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestKeysOfObjectsAreTheirs(t *testing.T) {
	d := newDesk(t)
	has := d.object("default/dev", "g1")
	for _, verb := range []string{"rotate", "revoke"} {
		out, _, err := d.keys("", verb, has.ID)
		if !errors.Is(err, ledger.ErrOwned) || !strings.Contains(err.Error(), "default/dev of source kubernetes") || out != "" {
			t.Errorf("%s: %v %s", verb, err, out)
		}
	}
	if k, err := d.KeyByID(t.Context(), has.ID); err != nil || !cmp.Equal(k, has) {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestKeysTellRedis: with a Redis, the next request is refused; without, a warning says that it may not be; with one that
// does not answer, the ledger has it all the same, and the command says so.
func TestKeysTellRedis(t *testing.T) {
	d := newDesk(t)
	url := testenv.Redis(t)
	gateway, err := admit.NewRedis(admit.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	asked := 0
	outcome := func(k ledger.Key) admit.Outcome {
		t.Helper()
		asked++
		got, err := gateway.Admit(t.Context(), admit.Request{
			ID: "req_" + strings.Repeat("x", asked), Account: k.Account, KeyDigest: k.Digest, KeyVersion: k.Version, Unmetered: true, HoldFor: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		return got.Outcome
	}
	used := func() ledger.Key {
		t.Helper()
		plain, _ := d.ok("create", "--account", "acme", "--gateway-uid", "g1")
		k := d.row(plain)
		if err := errors.Join(gateway.LoadAccount(t.Context(), admit.Copy{Account: k.Account, Spendable: 0, Version: 1}), gateway.LoadKey(t.Context(), k.Account, k.Digest, string(k.State), k.Version)); err != nil {
			t.Fatal(err)
		}
		if got := outcome(k); got != admit.Admitted {
			t.Fatalf("outcome %d of a new key", got)
		}
		return k
	}
	k := used()
	if _, told := d.ok("revoke", k.ID, "--redis", url); told != "" || outcome(k) != admit.KeyRefused {
		t.Errorf("revoked with Redis: %d, %s", outcome(k), told)
	}
	t.Setenv(cli.EnvRedisURL, url)
	k = used()
	if _, told := d.ok("rotate", k.ID, "--overlap", "0s"); strings.Contains(told, "warning") || outcome(k) != admit.ReloadKey {
		t.Errorf("rotated with Redis: %d, %s", outcome(k), told)
	}
	t.Setenv(cli.EnvRedisURL, "")
	k = used()
	if _, told := d.ok("revoke", k.ID); !strings.Contains(told, "within 60 seconds") {
		t.Errorf("revoked without Redis: %s", told)
	}
	k = used()
	_, _, err = d.keys("", "revoke", k.ID, "--redis", "redis://:hunter2@127.0.0.1:1")
	if now, _ := d.KeyByID(t.Context(), k.ID); !errors.Is(err, keys.ErrUntold) || now.State != ledger.KeyRevoked || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("revoked with a Redis that is not there: %v, %+v", err, now)
	}
}
