package programmed

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// objectID names an object that is or was in a snapshot.
type objectID struct {
	kind, namespace, name string
	uid                   types.UID
}

// contents are the objects of one snapshot at their generations.
type contents map[objectID]int64

func contentsOf(s *snapshot.Snapshot) contents {
	c := make(contents, len(s.Objects))
	for _, o := range s.Objects {
		c[objectID{o.Kind, o.Namespace, o.Name, types.UID(o.UID)}] = o.Generation
	}
	return c
}

// has says whether the object is there in its generation or a later one.
func (c contents) has(kind string, o client.Object) bool {
	generation, found := c[identify(kind, o)]
	return found && generation >= o.GetGeneration()
}

func identify(kind string, o client.Object) objectID {
	return objectID{kind, o.GetNamespace(), o.GetName(), o.GetUID()}
}

// historyLimit is how many snapshots of a gateway are remembered: a replica that runs an earlier one still serves what
// that one has.
const historyLimit = 8

// history are the last snapshots of one gateway, the newest last.
type history struct {
	hashes []string
	byHash map[string]contents
}

func (h *history) add(s *snapshot.Snapshot) {
	if _, have := h.byHash[s.Hash]; have {
		return
	}
	if h.byHash == nil {
		h.byHash = map[string]contents{}
	}
	h.hashes = append(h.hashes, s.Hash)
	h.byHash[s.Hash] = contentsOf(s)
	if len(h.hashes) > historyLimit {
		delete(h.byHash, h.hashes[0])
		h.hashes = h.hashes[1:]
	}
}

// state is one gateway: what is published, and what its ready replicas run.
type state struct {
	gateway *v1alpha1.AIGateway
	// hash of the published snapshot; empty: nothing is published.
	hash    string
	history *history
	// acks of the ready replicas, nil where one did not answer.
	acks []*Ack
	// applied says whether the Deployment is that of the gateway's present generation.
	applied bool
}

// current counts the ready replicas that run the published snapshot.
func (s *state) current() int {
	n := 0
	for _, ack := range s.acks {
		if ack != nil && ack.Hash == s.hash {
			n++
		}
	}
	return n
}

// silent counts the ready replicas that did not answer.
func (s *state) silent() int {
	n := 0
	for _, ack := range s.acks {
		if ack == nil {
			n++
		}
	}
	return n
}

// reference is an object with its kind and name; nil: nothing has that name.
type reference struct {
	kind, name string
	object     client.Object
}

// published says what of an object and of what it refers to is not in the published snapshot; nil: all is there. A
// reference without an object (nil) is one that names nothing.
func (s *state) published(object reference, refersTo []reference) *metav1.Condition {
	published := s.history.byHash[s.hash]
	if !published.has(object.kind, object.object) {
		c := condition(metav1.ConditionFalse, v1alpha1.ReasonPending, "This generation is not in the published snapshot.")
		return &c
	}
	for _, ref := range refersTo {
		if ref.object == nil || !published.has(ref.kind, ref.object) {
			c := condition(metav1.ConditionFalse, v1alpha1.ReasonPending,
				fmt.Sprintf("%s %q, which it refers to, is not in the published snapshot as it is now.", ref.kind, ref.name))
			return &c
		}
	}
	return nil
}

// serves says how far the ready replicas are with an object and with what it refers to. That a replica is behind is the
// gateway's to tell; here the object only waits.
func (s *state) serves(object reference, refersTo []reference) metav1.Condition {
	if missing := s.published(object, refersTo); missing != nil {
		return *missing
	}
	name := s.gateway.Name
	if len(s.acks) == 0 {
		return noReplicas(name)
	}
	need := append([]reference{object}, refersTo...)
	for _, ack := range s.acks {
		if ack != nil && !hasAll(s.history.byHash[ack.Hash], need) {
			return condition(metav1.ConditionFalse, v1alpha1.ReasonPending,
				fmt.Sprintf("Not all ready replicas of AIGateway %q run this generation yet.", name))
		}
	}
	if s.silent() > 0 {
		return unreachable(name)
	}
	return condition(metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "All ready replicas run this generation.")
}

func hasAll(c contents, need []reference) bool {
	for _, ref := range need {
		if !c.has(ref.kind, ref.object) {
			return false
		}
	}
	return true
}

// programmed is the gateway's own condition. It does not stay: here, and here alone, is where a replica that falls behind
// shows. One that is known to be behind outweighs one that does not answer.
func (s *state) programmed(kind string, refersTo []reference) metav1.Condition {
	name := s.gateway.Name
	if missing := s.published(reference{kind, s.gateway.Name, s.gateway}, refersTo); missing != nil {
		return *missing
	}
	silent := s.silent()
	switch current := s.current(); {
	case len(s.acks) == 0:
		return noReplicas(name)
	case !s.applied:
		return condition(metav1.ConditionFalse, v1alpha1.ReasonPending, "The Deployment of this generation is not applied.")
	case s.stores() != nil:
		return *s.stores()
	case current == len(s.acks):
		return condition(metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "All ready replicas run the published snapshot.")
	case current+silent == len(s.acks):
		return unreachable(name)
	}
	return condition(metav1.ConditionFalse, v1alpha1.ReasonReplicasBehind,
		fmt.Sprintf("Not all ready replicas of AIGateway %q run the published snapshot.", name))
}

func noReplicas(gateway string) metav1.Condition {
	return condition(metav1.ConditionFalse, v1alpha1.ReasonNoReadyReplicas, fmt.Sprintf("No replica of AIGateway %q is ready.", gateway))
}

// stores is what keeps a gateway from being programmed: stores that nobody has looked at yet, or that are not for this
// gateway (another perDollar, no usable URL). Stores that are away for a while do not: the replicas run what they ran.
func (s *state) stores() *metav1.Condition {
	said := meta.FindStatusCondition(s.gateway.Status.Conditions, v1alpha1.ConditionStoresReady)
	var c metav1.Condition
	switch {
	case said == nil || said.ObservedGeneration != s.gateway.Generation:
		c = condition(metav1.ConditionFalse, v1alpha1.ReasonPending, "The stores of this generation are not looked at yet.")
	case said.Status == metav1.ConditionFalse && said.Reason == v1alpha1.ReasonInvalid:
		c = condition(metav1.ConditionFalse, v1alpha1.ReasonInvalid, said.Message)
	default:
		return nil
	}
	return &c
}

func condition(status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionProgrammed, Status: status, Reason: reason, Message: message}
}

func unreachable(gateway string) metav1.Condition {
	return condition(metav1.ConditionUnknown, v1alpha1.ReasonReplicasUnreachable,
		fmt.Sprintf("A ready replica of AIGateway %q did not say what it runs.", gateway))
}

// worst of what several gateways say: False, Unknown, True; the first on a tie. Without any, nobody can say.
func worst(conditions []metav1.Condition) metav1.Condition {
	if len(conditions) == 0 {
		return condition(metav1.ConditionUnknown, v1alpha1.ReasonPending, "The object belongs to no AIGateway.")
	}
	rank := map[metav1.ConditionStatus]int{metav1.ConditionFalse: 2, metav1.ConditionUnknown: 1}
	out := conditions[0]
	for _, c := range conditions[1:] {
		if rank[c.Status] > rank[out.Status] {
			out = c
		}
	}
	return out
}
