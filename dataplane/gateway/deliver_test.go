package gateway

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

// A revocation whose maker died right after its transaction is told to Redis by any replica, from the outbox.
func TestOutboxIsDelivered(t *testing.T) {
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "ledger.db")
	books := openLedger(t, url)
	publish(t, dir, config(snapshot.Live, snapshot.OpenAICompatible, provider(t).URL))
	b := run(t, Options{
		SnapshotDir:   dir,
		RedisURLFile:  write(t, filepath.Join(dir, "redis"), []byte(testenv.Redis(t)+"\n")),
		LedgerURLFile: write(t, filepath.Join(dir, "ledger"), []byte(url+"\n")),
	})
	if status, body := get(t, "http://"+b.API+"/v1/models", liveKey); status != http.StatusOK {
		t.Fatalf("before: %d %s", status, body)
	}
	if _, err := books.RevokeKey(t.Context(), keys.Digest(liveKey)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is refused", func() bool {
		status, body := get(t, "http://"+b.API+"/v1/models", liveKey)
		return status == http.StatusUnauthorized && strings.Contains(body, "key_revoked")
	})
	eventually(t, "the outbox is empty", func() bool {
		left, err := books.PendingOutbox(t.Context(), "uid", 10)
		return err == nil && len(left) == 0
	})
}

var _ keys.Outbox = ledger.Ledger(nil)
