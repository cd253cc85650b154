package stores

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPorts(t *testing.T) {
	for name, tc := range map[string]struct {
		redis, ledger string
		want          []int32
	}{
		"named":         {"rediss://u:p@r:6380/1", "postgres://u:p@db:6543/x", []int32{6380, 6543}},
		"usual":         {"redis://r", "postgres://db/x", []int32{5432, 6379}},
		"several hosts": {"redis://r", "postgres://a:1111,b:2222/x", []int32{1111, 2222, 6379}},
		"unreadable":    {"redis://r:x:y", "mysql://db:1/x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cache, _ := newCache(t, tc.redis, tc.ledger)
			got, err := cache.Ports(t.Context(), gateway(100))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	cache, _ := newCache(t, "redis://r", "")
	if _, err := cache.Ports(t.Context(), gateway(100)); !errors.As(err, new(*Problem)) {
		t.Errorf("Ports() = %v, want a problem", err)
	}
}

func TestDatabase(t *testing.T) {
	same := []string{
		"postgres://u:hunter2@db:5432/x", "postgres://u:changed@db/x?sslmode=disable", "postgresql://admin:other@db:5432/x",
	}
	for _, url := range same {
		if got := database(url); got != "db:5432/x" {
			t.Errorf("database(%q) = %q", url, got)
		}
	}
	for _, url := range []string{"postgres://u:hunter2@db/y", "postgres://u:hunter2@other/x", "sqlite:/a/b", "hunter2", "hunter2://x", ""} {
		if got := database(url); got == "db:5432/x" {
			t.Errorf("database(%q) = %q: another one", url, got)
		}
	}
	for _, url := range same {
		if strings.Contains(database(url), "hunter2") {
			t.Error("a password decides about a name")
		}
	}
}
