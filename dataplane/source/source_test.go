package source

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// snap makes a valid snapshot with n models.
func snap(sequence int64, n int, change ...func(*snapshot.Snapshot)) *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Schema: snapshot.SchemaVersion, Sequence: sequence, GatewayUID: "uid", Mode: snapshot.Demo, CreditsPerDollar: 100,
		Providers: []snapshot.Provider{{ID: "p", Type: snapshot.DemoProvider}},
	}
	for i := range n {
		s.Models = append(s.Models, snapshot.Model{
			PublicName: "m" + string(rune('a'+i)), Backends: []snapshot.Backend{{Name: "b", Provider: "p"}},
			Limits: snapshot.Limits{ContextTokens: 1, MaxOutputTokens: 1},
			Times:  snapshot.Timeout{ConnectSeconds: 1, FirstEventSeconds: 1, IdleSeconds: 1, TotalSeconds: 1},
		})
	}
	for _, c := range change {
		c(s)
	}
	s.Hash = snapshot.ContentHash(s)
	return s
}

func encode(t *testing.T, s *snapshot.Snapshot) []byte {
	t.Helper()
	b, err := snapshot.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func holder() *Holder {
	return NewHolder(slog.New(slog.DiscardHandler), func() time.Time { return time.Unix(100, 0) })
}

func TestRule(t *testing.T) {
	empty := func(s *snapshot.Snapshot) { s.AllowEmpty = true }
	foreign := func(s *snapshot.Snapshot) { s.GatewayUID = "other" }
	broken := func(s *snapshot.Snapshot) { s.Providers = nil }
	cases := map[string]struct {
		current, next *snapshot.Snapshot
		want          error
	}{
		"first":                {nil, snap(1, 1), nil},
		"first, empty":         {nil, snap(1, 0), nil},
		"newer":                {snap(1, 1), snap(2, 2), nil},
		"much newer":           {snap(1, 1), snap(9, 2), nil},
		"older":                {snap(2, 1), snap(1, 2), ErrOlder},
		"same":                 {snap(2, 1), snap(2, 1), ErrUnchanged},
		"forked":               {snap(2, 1), snap(2, 2), ErrForked},
		"foreign":              {snap(2, 1), snap(3, 1, foreign), ErrForeign},
		"invalid":              {snap(2, 1), snap(3, 1, broken), ErrInvalid},
		"first, invalid":       {nil, snap(3, 1, broken), ErrInvalid},
		"empty":                {snap(2, 1), snap(3, 0), ErrEmpty},
		"empty, meant":         {snap(2, 1), snap(3, 0, empty), nil},
		"empty, meant, older":  {snap(2, 1), snap(1, 0, empty), ErrOlder},
		"empty replaces empty": {snap(2, 0), snap(3, 0), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := holder()
			if c.current != nil {
				if err := h.Offer("dir", c.current); err != nil {
					t.Fatal(err)
				}
			}
			before := h.Current()
			err := h.Offer("secret", c.next)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if c.want != nil && h.Current() != before {
				t.Error("it won all the same")
			}
			if c.want == nil && h.Current().Snapshot != c.next {
				t.Error("it did not win")
			}
		})
	}
}

func TestExpect(t *testing.T) {
	h := holder()
	h.Expect("uid")
	left := snap(9, 1, func(s *snapshot.Snapshot) { s.GatewayUID = "another" })
	if err := h.Offer("dir", left); !errors.Is(err, ErrForeign) || h.Current() != nil {
		t.Errorf("offering what another gateway left behind: %v", err)
	}
	if err := h.Offer("dir", snap(1, 1)); err != nil {
		t.Errorf("offering its own: %v", err)
	}
}

func TestMemory(t *testing.T) {
	m := NewMemory(slog.New(slog.DiscardHandler), time.Now)
	for i, c := range []struct {
		s    *snapshot.Snapshot
		want int64
	}{{snap(0, 1), 1}, {snap(0, 1), 1}, {snap(0, 2), 2}} {
		if err := m.Publish(c.s); err != nil {
			t.Fatal(err)
		}
		if got := m.Current().Sequence; got != c.want {
			t.Errorf("step %d: sequence %d, want %d", i, got, c.want)
		}
	}
	if err := m.Publish(snap(0, 0)); !errors.Is(err, ErrEmpty) {
		t.Errorf("publishing nothing: %v", err)
	}
}

// mount writes b as the kubelet does: a new timestamped folder, then ..data swapped to it in one rename.
func mount(t *testing.T, dir, stamp string, b []byte) {
	t.Helper()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.Mkdir(filepath.Join(dir, stamp), 0o755))
	do(os.WriteFile(filepath.Join(dir, stamp, snapshot.SecretDataKey), b, 0o600))
	do(os.Symlink(stamp, filepath.Join(dir, "..tmp")))
	do(os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	link := filepath.Join(dir, snapshot.SecretDataKey)
	if _, err := os.Lstat(link); err != nil {
		do(os.Symlink(filepath.Join("..data", snapshot.SecretDataKey), link))
	}
}

// await waits for a snapshot with that sequence.
func await(t *testing.T, h *Holder, sequence int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := h.Wait(ctx, func(x *snapshot.Index) bool { return x.Sequence == sequence }); err != nil {
		t.Fatalf("snapshot %d did not come: %v", sequence, err)
	}
}

func TestDir(t *testing.T) {
	dir, h := t.TempDir(), holder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); (&Dir{Path: dir, Holder: h, Poll: time.Hour}).Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })

	mount(t, dir, "..1", encode(t, snap(1, 1)))
	await(t, h, 1)
	mount(t, dir, "..2", []byte("rubbish"))
	mount(t, dir, "..3", encode(t, snap(3, 1)))
	await(t, h, 3)
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	mount(t, dir, "..4", encode(t, snap(2, 1)))
	mount(t, dir, "..5", encode(t, snap(4, 1)))
	await(t, h, 4)
}

func TestDirPolls(t *testing.T) {
	dir, h := filepath.Join(t.TempDir(), "later"), holder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); (&Dir{Path: dir, Holder: h, Poll: time.Millisecond}).Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if err := os.Mkdir(dir, 0o755); err != nil { // too late to be watched
		t.Fatal(err)
	}
	mount(t, dir, "..1", encode(t, snap(1, 1)))
	await(t, h, 1)
}

func TestSecret(t *testing.T) {
	h := holder()
	secret := func(b []byte) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "snap"}, Data: map[string][]byte{snapshot.SecretDataKey: b}}
	}
	client := fake.NewClientset()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- (&Secret{Client: client, Namespace: "ai", Name: "snap", Holder: h}).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	secrets := client.CoreV1().Secrets("ai")
	if _, err := secrets.Create(ctx, secret(encode(t, snap(1, 1))), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, h, 1)
	if _, err := secrets.Update(ctx, secret(encode(t, snap(2, 2))), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, h, 2)
	if err := secrets.Delete(ctx, "snap", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Create(ctx, secret(encode(t, snap(3, 1))), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, h, 3)
}

func TestSecretWithoutData(t *testing.T) {
	h := holder()
	s := &Secret{Namespace: "ai", Name: "snap", Holder: h}
	s.offer(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "other"}, Data: map[string][]byte{snapshot.SecretDataKey: encode(t, snap(1, 1))}})
	s.offer(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "snap"}})
	if h.Current() != nil {
		t.Error("served something")
	}
	if h.refused["secret"] != 1 {
		t.Errorf("refused %v", h.refused)
	}
}

func TestMetrics(t *testing.T) {
	now := time.Unix(100, 0)
	h := NewHolder(slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err := h.Offer("dir", snap(5, 2)); err != nil {
		t.Fatal(err)
	}
	_ = h.OfferBytes("secret", []byte("rubbish"))
	_ = h.Offer("dir", snap(4, 2)) // older: not an error
	now = now.Add(3 * time.Second)
	want := `
# HELP layers_snapshot_errors_total Snapshots that could not be read or were refused, by origin.
# TYPE layers_snapshot_errors_total counter
layers_snapshot_errors_total{origin="secret"} 1
# HELP layers_snapshot_last_error_age_seconds Time since the last such error, by origin.
# TYPE layers_snapshot_last_error_age_seconds gauge
layers_snapshot_last_error_age_seconds{origin="secret"} 3
# HELP layers_snapshot_models Models in the snapshot that is served.
# TYPE layers_snapshot_models gauge
layers_snapshot_models 2
# HELP layers_snapshot_sequence Sequence of the snapshot that is served; 0: none.
# TYPE layers_snapshot_sequence gauge
layers_snapshot_sequence 5
`
	if err := testutil.CollectAndCompare(h, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
