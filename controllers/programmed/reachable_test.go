package programmed

import (
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/api/v1alpha1"
)

func TestReachable(t *testing.T) {
	lacks := func(stores ...string) *Ack { return &Ack{Hash: "a", Degraded: stores} }
	for name, tc := range map[string]struct {
		acks    []*Ack
		redis   v1alpha1.RedisUnavailable
		want    string
		message string
	}{
		"all":                              {[]*Ack{lacks(), lacks()}, "", "True AllReachable", "reach their stores"},
		"all that answer":                  {[]*Ack{lacks(), nil}, "", "True AllReachable", ""},
		"none is ready":                    {nil, "", "Unknown NoReadyReplicas", ""},
		"none answers":                     {[]*Ack{nil, nil}, "", "Unknown ReplicasUnreachable", ""},
		"one lacks Redis":                  {[]*Ack{lacks(), lacks("redis"), nil}, v1alpha1.RedisLocalLimits, "False RedisUnavailable", "share of the limits"},
		"one lacks Redis, said nothing":    {[]*Ack{lacks("redis")}, "", "False RedisUnavailable", "share of the limits"},
		"one lacks Redis, and rejects":     {[]*Ack{lacks("redis")}, v1alpha1.RedisReject, "False RedisUnavailable", "503"},
		"one lacks the ledger":             {[]*Ack{lacks("ledger"), lacks()}, v1alpha1.RedisReject, "False LedgerUnavailable", "charges wait"},
		"one lacks both":                   {[]*Ack{lacks("ledger", "redis"), lacks()}, "", "False BothUnavailable", "503"},
		"one lacks this, another the rest": {[]*Ack{lacks("ledger"), lacks("redis")}, "", "False BothUnavailable", ""},
		"something of a later version":     {[]*Ack{lacks("queue")}, "", "True AllReachable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			gw := &v1alpha1.AIGateway{ObjectMeta: named("main", 1)}
			if tc.redis != "" {
				gw.Spec.Redis = &v1alpha1.GatewayRedis{OnUnavailable: tc.redis}
			}
			c := (&state{gateway: gw, history: &history{}, acks: tc.acks}).reachable()
			if got := string(c.Status) + " " + c.Reason; got != tc.want || !strings.Contains(c.Message, tc.message) || !strings.HasSuffix(c.Message, ".") {
				t.Errorf("got %s: %s", got, c.Message)
			}
		})
	}
}

// A store that is away is asked for again before it would be idle's turn.
func TestNextWhileDegraded(t *testing.T) {
	r := &Reconciler{Now: func() time.Time { return time.Unix(0, 0) }}
	for _, tc := range []struct {
		wait, degraded bool
		gateways       int
		want           time.Duration
	}{
		{false, false, 1, pollIdle}, {false, true, 1, pollMax}, {true, true, 1, pollMin}, {false, false, 0, 0},
	} {
		if got := r.next("ai", looked{wait: tc.wait, degraded: tc.degraded, published: "a", gateways: tc.gateways}); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}
