package ledger

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// newerDB is a database whose server is newer than what is tested.
type newerDB struct{ sqldb.DB }

func (newerDB) Suits(context.Context) (string, error) { return "it is of tomorrow", nil }

// A server that is newer than what is tested is taken; the log hears of it once, however often it is asked for.
func TestNewerServerIsWarnedOfOnce(t *testing.T) {
	db, err := sqldb.Open(t.Context(), "sqlite:"+t.TempDir()+"/l.db")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	opened, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/unused.db", Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*store)
	s.db.Close()
	s.db = newerDB{db}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(said.String(), "the ledger's database: it is of tomorrow"); n != 1 || !strings.Contains(said.String(), "level=WARN") {
		t.Errorf("it is said %d times: %s", n, said.String())
	}
}
