package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestCommands(t *testing.T) {
	root := &cobra.Command{Use: "tool"}
	group := &cobra.Command{Use: "group", Short: "Group things"}
	do := &cobra.Command{Use: "do THING", Short: "Do it", Run: func(*cobra.Command, []string) {}}
	do.Flags().String("how", "well", "one of well|badly")
	do.Flags().Bool("twice", false, "do it twice")
	group.AddCommand(do)
	root.AddCommand(group)
	const want = `
## tool group do THING

Do it.

| flag | default | meaning |
|---|---|---|
| ` + "`--how` | `well`" + ` | one of well\|badly |
| ` + "`--twice`" + ` |  | do it twice |
`
	if diff := cmp.Diff(want, strings.TrimPrefix(commands(root), commandsHead)); diff != "" {
		t.Errorf("commands() (-want +got):\n%s", diff)
	}
}

// TestProgram finds every job on the page.
func TestProgram(t *testing.T) {
	page := commands(program())
	for _, name := range []string{"up", "operator", "gateway", "migrate", "grant ACCOUNT CREDITS", "keys create", "keys list", "keys rotate", "keys revoke", "ledger check"} {
		if !strings.Contains(page, "\n## layers "+name+"\n") && !strings.Contains(page, "\n## layers "+name+" ") {
			t.Errorf("no section of layers %s", name)
		}
	}
}
