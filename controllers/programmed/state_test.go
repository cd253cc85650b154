package programmed

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func named(name string, generation int64) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "ai", Name: name, UID: types.UID("uid-" + name), Generation: generation}
}

// snap has the gateway, a provider and a model at generations.
func snap(hash string, provider, model int64) *snapshot.Snapshot {
	object := func(kind, name string, generation int64) snapshot.Object {
		return snapshot.Object{Kind: kind, Namespace: "ai", Name: name, UID: "uid-" + name, Generation: generation}
	}
	return &snapshot.Snapshot{Hash: hash, Objects: []snapshot.Object{
		object(compile.KindAIGateway, "main", 1), object(compile.KindProvider, "upstream", provider), object(compile.KindModel, "small", model),
	}}
}

func TestServes(t *testing.T) {
	m := &v1alpha1.Model{ObjectMeta: named("small", 2)}
	p := &v1alpha1.Provider{ObjectMeta: named("upstream", 5)}
	ack := func(hash string) *Ack { return &Ack{Hash: hash} }
	other := &v1alpha1.Model{ObjectMeta: named("small", 2)}
	other.UID = "another"
	for name, tc := range map[string]struct {
		history []*snapshot.Snapshot // the last is published
		model   *v1alpha1.Model
		acks    []*Ack
		want    string
	}{
		"nothing is published":                   {nil, m, []*Ack{ack("a")}, "False Pending"},
		"an old generation is published":         {[]*snapshot.Snapshot{snap("a", 5, 1)}, m, []*Ack{ack("a")}, "False Pending"},
		"another object of the name":             {[]*snapshot.Snapshot{snap("a", 5, 2)}, other, []*Ack{ack("a")}, "False Pending"},
		"no replica":                             {[]*snapshot.Snapshot{snap("a", 5, 2)}, m, nil, "False NoReadyReplicas"},
		"all run it":                             {[]*snapshot.Snapshot{snap("a", 5, 2)}, m, []*Ack{ack("a"), ack("a")}, "True Programmed"},
		"a later generation counts":              {[]*snapshot.Snapshot{snap("a", 6, 3)}, m, []*Ack{ack("a")}, "True Programmed"},
		"one runs the one before, with it":       {[]*snapshot.Snapshot{snap("a", 5, 2), snap("b", 5, 2)}, m, []*Ack{ack("a"), ack("b")}, "True Programmed"},
		"one runs the one before, without it":    {[]*snapshot.Snapshot{snap("a", 5, 1), snap("b", 5, 2)}, m, []*Ack{ack("a"), ack("b")}, "False Pending"},
		"one lacks the provider's generation":    {[]*snapshot.Snapshot{snap("a", 4, 2), snap("b", 5, 2)}, m, []*Ack{ack("a"), ack("b")}, "False Pending"},
		"one runs what nobody knows":             {[]*snapshot.Snapshot{snap("a", 5, 2)}, m, []*Ack{ack("z")}, "False Pending"},
		"one does not answer":                    {[]*snapshot.Snapshot{snap("a", 5, 2)}, m, []*Ack{ack("a"), nil}, "Unknown ReplicasUnreachable"},
		"one is behind, another does not answer": {[]*snapshot.Snapshot{snap("a", 5, 2)}, m, []*Ack{nil, ack("z")}, "False Pending"},
		"the provider is older in the snapshot":  {[]*snapshot.Snapshot{snap("a", 4, 2)}, m, []*Ack{ack("a")}, "False Pending"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &state{gateway: &v1alpha1.AIGateway{ObjectMeta: named("main", 1)}, history: &history{}, acks: tc.acks}
			for _, h := range tc.history {
				s.history.add(h)
				s.hash = h.Hash
			}
			got := s.serves(reference{compile.KindModel, "small", tc.model}, []reference{{compile.KindProvider, "upstream", p}})
			if text := string(got.Status) + " " + got.Reason; text != tc.want {
				t.Errorf("got %s (%s), want %s", text, got.Message, tc.want)
			}
		})
	}
}

// A reference that the snapshot does not have, or that names nothing, is none that the replicas serve.
func TestServesBrokenReferences(t *testing.T) {
	m := &v1alpha1.Model{ObjectMeta: named("small", 2)}
	for name, ref := range map[string]reference{
		"not usable":  {compile.KindProvider, "broken", &v1alpha1.Provider{ObjectMeta: named("broken", 1)}},
		"not there":   {compile.KindProvider, "gone", nil},
		"a namesake":  {compile.KindProvider, "upstream", &v1alpha1.Provider{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "upstream", UID: "new"}}},
		"not yet new": {compile.KindProvider, "upstream", &v1alpha1.Provider{ObjectMeta: named("upstream", 6)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &state{gateway: &v1alpha1.AIGateway{ObjectMeta: named("main", 1)}, history: &history{}, acks: []*Ack{{Hash: "a"}}, hash: "a"}
			s.history.add(snap("a", 5, 2))
			got := s.serves(reference{compile.KindModel, "small", m}, []reference{ref})
			if got.Status != metav1.ConditionFalse || got.Reason != "Pending" || !strings.Contains(got.Message, ref.name) {
				t.Errorf("got %s %s: %s", got.Status, got.Reason, got.Message)
			}
			if c := s.programmed(compile.KindAIGateway, []reference{ref}); c.Status != metav1.ConditionFalse {
				t.Errorf("the gateway is %s with it", c.Status)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	w := &world{}
	w.providers.Items = []v1alpha1.Provider{{ObjectMeta: named("a", 1)}, {ObjectMeta: named("b", 1)}}
	w.tiers.Items = []v1alpha1.Tier{{ObjectMeta: named("t", 1)}}
	m := &v1alpha1.Model{}
	for _, name := range []string{"b", "b", "c"} {
		m.Spec.Backends = append(m.Spec.Backends, v1alpha1.ModelBackend{ProviderRef: v1alpha1.LocalRef{Name: name}})
	}
	got := w.refersTo(reference{compile.KindModel, "m", m})
	if len(got) != 2 || got[0].object != &w.providers.Items[1] || got[1].name != "c" || got[1].object != nil {
		t.Errorf("refersTo() = %+v", got)
	}
	gw := &v1alpha1.AIGateway{}
	if got := w.defaults(gw); got != nil {
		t.Errorf("defaults() = %+v, want none", got)
	}
	gw.Spec.Defaults = v1alpha1.GatewayDefaults{TierRef: &v1alpha1.LocalRef{Name: "t"}, CreditPolicyRef: &v1alpha1.LocalRef{Name: "p"}}
	if got := w.defaults(gw); len(got) != 2 || got[0].object != &w.tiers.Items[0] || got[1].kind != compile.KindCreditPolicy || got[1].object != nil {
		t.Errorf("defaults() = %+v", got)
	}
}

func TestGatewayProgrammed(t *testing.T) {
	stores := func(status metav1.ConditionStatus, reason string) *metav1.Condition {
		return &metav1.Condition{Type: "StoresReady", Status: status, Reason: reason, ObservedGeneration: 1}
	}
	ready := stores("True", "Available")
	for name, tc := range map[string]struct {
		generation int64
		acks       []*Ack
		want       string
		current    int
		unapplied  bool
		stores     *metav1.Condition
	}{
		"not published":              {2, []*Ack{{Hash: "a"}}, "False Pending", 1, false, ready},
		"no replica":                 {1, nil, "False NoReadyReplicas", 0, false, ready},
		"all current":                {1, []*Ack{{Hash: "a"}, {Hash: "a"}}, "True Programmed", 2, false, ready},
		"one behind":                 {1, []*Ack{{Hash: "a"}, {Hash: "z"}}, "False ReplicasBehind", 1, false, ready},
		"one is unknown":             {1, []*Ack{{Hash: "a"}, nil}, "Unknown ReplicasUnreachable", 1, false, ready},
		"one is behind, one unknown": {1, []*Ack{{Hash: "z"}, nil}, "False ReplicasBehind", 0, false, ready},
		"not applied":                {1, []*Ack{{Hash: "a"}}, "False Pending", 1, true, ready},
		"stores unseen":              {1, []*Ack{{Hash: "a"}}, "False Pending", 1, false, nil},
		"stores invalid":             {1, []*Ack{{Hash: "a"}}, "False Invalid", 1, false, stores("False", "Invalid")},
		"stores away":                {1, []*Ack{{Hash: "a"}}, "True Programmed", 1, false, stores("False", "StoreUnavailable")},
	} {
		t.Run(name, func(t *testing.T) {
			s := &state{gateway: &v1alpha1.AIGateway{ObjectMeta: named("main", tc.generation)}, history: &history{}, hash: "a", acks: tc.acks, applied: !tc.unapplied}
			s.history.add(snap("a", 1, 1))
			if tc.stores != nil {
				s.gateway.Status.Conditions = []metav1.Condition{*tc.stores}
			}
			got := s.programmed(compile.KindAIGateway, nil)
			if text := string(got.Status) + " " + got.Reason; text != tc.want || s.current() != tc.current {
				t.Errorf("got %s with %d current, want %s with %d", text, s.current(), tc.want, tc.current)
			}
		})
	}
}

func TestStoresLookedAt(t *testing.T) {
	gw := func(status metav1.ConditionStatus, generation int64) *v1alpha1.AIGateway {
		g := &v1alpha1.AIGateway{}
		g.Status.Conditions = []metav1.Condition{{Type: "StoresReady", Status: status, ObservedGeneration: generation}}
		return g
	}
	other := gw("True", 1)
	other.Status.Address = "http://x"
	for name, tc := range map[string]struct {
		before, after *v1alpha1.AIGateway
		want          bool
	}{
		"nothing":             {gw("True", 1), gw("True", 1), false},
		"another field":       {gw("True", 1), other, false},
		"for the first time":  {&v1alpha1.AIGateway{}, gw("True", 1), true},
		"they went":           {gw("True", 1), gw("False", 1), true},
		"of a new generation": {gw("True", 1), gw("True", 2), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := storesLookedAt().Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := &history{}
	for i := range 3 * historyLimit {
		h.add(snap(fmt.Sprint(i), 1, 1))
		h.add(snap(fmt.Sprint(i), 1, 1)) // again: no change
	}
	if len(h.hashes) != historyLimit || len(h.byHash) != historyLimit {
		t.Fatalf("%d hashes, %d contents; want %d", len(h.hashes), len(h.byHash), historyLimit)
	}
	if h.byHash[fmt.Sprint(3*historyLimit-1)] == nil || h.byHash["0"] != nil {
		t.Error("the newest stay, the oldest go")
	}
}

func TestWorst(t *testing.T) {
	is := func(s metav1.ConditionStatus) metav1.Condition { return metav1.Condition{Status: s} }
	for name, tc := range map[string]struct {
		said []metav1.Condition
		want metav1.ConditionStatus
	}{
		"nobody says":       {nil, "Unknown"},
		"all say true":      {[]metav1.Condition{is("True"), is("True")}, "True"},
		"one does not know": {[]metav1.Condition{is("True"), is("Unknown")}, "Unknown"},
		"one says false":    {[]metav1.Condition{is("Unknown"), is("False"), is("True")}, "False"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := worst(tc.said); got.Status != tc.want {
				t.Errorf("got %s, want %s", got.Status, tc.want)
			}
		})
	}
}

func TestStays(t *testing.T) {
	for name, tc := range map[string]struct {
		condition metav1.Condition
		want      bool
	}{
		"true of this generation":  {metav1.Condition{Type: "Programmed", Status: "True", ObservedGeneration: 2}, true},
		"true of the one before":   {metav1.Condition{Type: "Programmed", Status: "True", ObservedGeneration: 1}, false},
		"false of this generation": {metav1.Condition{Type: "Programmed", Status: "False", ObservedGeneration: 2}, false},
		"another condition":        {metav1.Condition{Type: "Accepted", Status: "True", ObservedGeneration: 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tier := &v1alpha1.Tier{ObjectMeta: named("t", 2)}
			tier.Status.Conditions = []metav1.Condition{tc.condition}
			if got := stays(tier) != nil; got != tc.want {
				t.Errorf("stays() = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Reconciler{Now: func() time.Time { return now }}
	step := func(after time.Duration, wait bool, published string, gateways int, want time.Duration) {
		t.Helper()
		now = now.Add(after)
		if got := r.next("ai", looked{wait: wait, published: published, gateways: gateways}); got != want {
			t.Errorf("next() = %v, want %v", got, want)
		}
	}
	step(0, false, "a", 0, 0)
	step(0, false, "a", 1, pollIdle)
	step(0, true, "a", 1, pollMin)
	step(10*time.Second, true, "a", 1, time.Second)
	step(10*time.Minute, true, "a", 1, pollMax)
	step(time.Second, true, "b", 1, pollMin)
	step(time.Second, false, "b", 1, pollIdle)
	step(time.Hour, true, "b", 1, pollMin)
}

func TestKeepForgets(t *testing.T) {
	r := &Reconciler{}
	gateways := []v1alpha1.AIGateway{{ObjectMeta: named("a", 1)}, {ObjectMeta: named("b", 1)}}
	first := r.keep("ai", gateways)
	first["uid-a"].add(snap("h", 1, 1))
	if r.keep("ai", gateways[:1])["uid-a"].byHash["h"] == nil {
		t.Error("a history is lost")
	}
	if len(r.histories["ai"]) != 1 {
		t.Error("a gateway that is gone is remembered")
	}
	r.keep("ai", nil)
	if len(r.histories) != 0 {
		t.Error("a namespace without gateways is remembered")
	}
}
