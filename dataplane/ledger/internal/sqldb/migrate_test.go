package sqldb

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// TestEveryDialectHasEveryMigration: as many as Latest says, numbered from 1, under the same names.
func TestEveryDialectHasEveryMigration(t *testing.T) {
	var names [2][]string
	for i, dir := range []string{postgres{}.migrations(), sqlite{}.migrations()} {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names[i] = append(names[i], e.Name())
		}
		if len(names[i]) != Latest {
			t.Errorf("%s has %d migrations, Latest is %d", dir, len(names[i]), Latest)
		}
	}
	for n, name := range names[0] {
		if n >= len(names[1]) || names[1][n] != name || !strings.HasPrefix(name, fmt.Sprintf("%04d_", n+1)) {
			t.Errorf("migration %d is %s", n+1, name)
		}
	}
}
