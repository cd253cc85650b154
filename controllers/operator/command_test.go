package operator_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/layers-dev/layers/controllers/operator"
)

func TestCommandRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no image":        {[]string{}, `"gateway-image" not set`},
		"unknown format":  {[]string{"--gateway-image=a", "--log-format=xml"}, `log format "xml"`},
		"an argument":     {[]string{"--gateway-image=a", "b"}, "unknown command"},
		"no such cluster": {[]string{"--gateway-image=a", "--log-format=text"}, "finding the cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", t.TempDir()+"/none")
			cmd := operator.NewCommand()
			cmd.SetArgs(tc.args)
			var out bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(&out)
			if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Execute() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRunNeedsItsOptions(t *testing.T) {
	if err := operator.Run(context.Background(), operator.Options{}); err == nil {
		t.Error("ran without a configuration and an image")
	}
}
