package programmed

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Stores as acknowledgements name those that a replica does not reach. Names of later versions are none of this one's.
const (
	degradedRedis  = "redis"
	degradedLedger = "ledger"
)

// degraded says which stores some ready replica does not reach.
func (s *state) degraded() (redis, ledger bool) {
	for _, ack := range s.acks {
		if ack != nil {
			redis = redis || slices.Contains(ack.Degraded, degradedRedis)
			ledger = ledger || slices.Contains(ack.Degraded, degradedLedger)
		}
	}
	return redis, ledger
}

// reachable is StoresReachable: what the replicas themselves see of the stores. StoresReady is what the operator sees.
func (s *state) reachable() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionStoresReachable, Status: metav1.ConditionFalse}
	name := s.gateway.Name
	redis, ledger := s.degraded()
	switch {
	case redis && ledger:
		c.Reason, c.Message = v1alpha1.ReasonBothUnavailable,
			fmt.Sprintf("Ready replicas of AIGateway %q reach neither Redis nor the ledger; they answer 503 where that is so for one of them.", name)
	case redis && s.gateway.Spec.Redis != nil && s.gateway.Spec.Redis.OnUnavailable == v1alpha1.RedisReject:
		c.Reason, c.Message = v1alpha1.ReasonRedisUnavailable,
			fmt.Sprintf("A ready replica of AIGateway %q does not reach Redis; it answers 503, as redis.onUnavailable says.", name)
	case redis:
		c.Reason, c.Message = v1alpha1.ReasonRedisUnavailable,
			fmt.Sprintf("A ready replica of AIGateway %q does not reach Redis; it allows its share of the limits and holds credits in the ledger.", name)
	case ledger:
		c.Reason, c.Message = v1alpha1.ReasonLedgerUnavailable,
			fmt.Sprintf("A ready replica of AIGateway %q does not reach the ledger; requests go on within bounds, and their charges wait in its log.", name)
	case len(s.acks) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonNoReadyReplicas, fmt.Sprintf("No replica of AIGateway %q is ready.", name)
	case s.silent() == len(s.acks):
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonReplicasUnreachable, fmt.Sprintf("No ready replica of AIGateway %q answers.", name)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonAllReachable, "The ready replicas reach their stores."
	}
	return c
}
