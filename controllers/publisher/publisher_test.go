package publisher

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestVerdictsTakeTheWorse(t *testing.T) {
	key := compile.ObjectKey{Kind: compile.KindModel, Namespace: "ai", Name: "small"}
	out := func(status metav1.ConditionStatus, reason string) compile.Output {
		return compile.Output{Conditions: map[compile.ObjectKey][]compile.Condition{key: {
			{Type: "ResolvedRefs", Status: "True", Reason: "Resolved"},
			{Type: "Accepted", Status: status, Reason: reason},
		}}}
	}
	for name, tc := range map[string]struct {
		said []compile.Output
		want string
	}{
		"one":                   {[]compile.Output{out("True", "A")}, "A"},
		"false after true":      {[]compile.Output{out("True", "A"), out("False", "B")}, "B"},
		"true after false":      {[]compile.Output{out("False", "A"), out("True", "B")}, "A"},
		"unknown after true":    {[]compile.Output{out("True", "A"), out("Unknown", "B")}, "B"},
		"false after unknown":   {[]compile.Output{out("Unknown", "A"), out("False", "B")}, "B"},
		"the first of two evil": {[]compile.Output{out("False", "A"), out("False", "B")}, "A"},
	} {
		t.Run(name, func(t *testing.T) {
			v := verdicts{}
			for _, o := range tc.said {
				v.add(o)
			}
			got := v.of(key)
			if len(got) != 2 || got[0].Type != "Accepted" || got[0].Reason != tc.want {
				t.Errorf("got %v, want Accepted with reason %s first", got, tc.want)
			}
		})
	}
}

func TestVerdictsRefuse(t *testing.T) {
	key := compile.ObjectKey{Kind: compile.KindAIGateway, Namespace: "ai", Name: "main"}
	v := verdicts{}
	v.refuse(key, "SnapshotTooLarge", "It is too large.")
	v.add(compile.Output{Conditions: map[compile.ObjectKey][]compile.Condition{key: {{Type: "Accepted", Status: "True", Reason: "Accepted"}}}})
	want := []metav1.Condition{{Type: "Accepted", Status: "False", Reason: "SnapshotTooLarge", Message: "It is too large."}}
	if diff := cmp.Diff(want, v.of(key)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHeader(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	r := &Reconciler{Now: func() time.Time { return now }, Token: func() (string, error) { return "new", nil }}
	lost := &v1alpha1.AIGateway{Status: v1alpha1.AIGatewayStatus{SnapshotHash: "ab"}}
	for name, tc := range map[string]struct {
		gateway  *v1alpha1.AIGateway
		old      *snapshot.Snapshot
		token    string
		sequence int64
	}{
		"the first":     {&v1alpha1.AIGateway{}, nil, "new", 1},
		"the next":      {lost, &snapshot.Snapshot{AckToken: "old", Sequence: 7}, "old", 8},
		"after a loss":  {lost, nil, "new", now.UnixMilli()},
		"a first again": {&v1alpha1.AIGateway{}, &snapshot.Snapshot{AckToken: "old", Sequence: 1}, "old", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := &snapshot.Snapshot{}
			if err := r.header(s, tc.gateway, tc.old); err != nil {
				t.Fatal(err)
			}
			if s.AckToken != tc.token || s.Sequence != tc.sequence {
				t.Errorf("token %q, sequence %d; want %q, %d", s.AckToken, s.Sequence, tc.token, tc.sequence)
			}
		})
	}
	broken := errors.New("no randomness")
	r.Token = func() (string, error) { return "", broken }
	if err := r.header(&snapshot.Snapshot{}, &v1alpha1.AIGateway{}, nil); !errors.Is(err, broken) {
		t.Errorf("header() = %v, want %v", err, broken)
	}
}

func TestWait(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Reconciler{Now: func() time.Time { return now }}
	step := func(after time.Duration, namespace string, want time.Duration) {
		t.Helper()
		now = now.Add(after)
		if got := r.wait(namespace); got != want {
			t.Errorf("wait(%s) = %v, want %v", namespace, got, want)
		}
	}
	step(0, "a", 0)
	step(50*time.Millisecond, "a", 150*time.Millisecond)
	step(0, "b", 0)
	step(150*time.Millisecond, "a", 0)
	step(199*time.Millisecond, "a", time.Millisecond)
}

func TestAttachedKeys(t *testing.T) {
	w := &world{}
	w.keys.Items = []v1alpha1.APIKey{{}, {Spec: v1alpha1.APIKeySpec{GatewayRef: &v1alpha1.GatewayRef{Name: "two"}}}}
	w.gateways.Items = []v1alpha1.AIGateway{{ObjectMeta: metav1.ObjectMeta{Name: "one"}}}
	if got := w.attachedKeys("one"); got != 1 {
		t.Errorf("the only gateway has %d keys, want 1", got)
	}
	w.gateways.Items = append(w.gateways.Items, v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Name: "two"}})
	if got := []int{w.attachedKeys("one"), w.attachedKeys("two")}; !cmp.Equal(got, []int{0, 1}) {
		t.Errorf("of two gateways they have %v, want 0 and 1", got)
	}
}
