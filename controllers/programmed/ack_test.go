package programmed

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHTTPProber(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Ack
		ok     bool
	}{
		"answers":           {200, `{"hash":"ab","sequence":7}`, Ack{Hash: "ab", Sequence: 7}, true},
		"lacks stores":      {200, `{"hash":"ab","sequence":7,"degraded":["ledger","redis"]}`, Ack{"ab", 7, []string{"ledger", "redis"}}, true},
		"ignores the rest":  {200, `{"hash":"ab","sequence":7,"later":true}`, Ack{Hash: "ab", Sequence: 7}, true},
		"refuses the token": {401, `{"hash":"ab"}`, Ack{}, false},
		"says nonsense":     {200, `<html>`, Ack{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/snapshot" || r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("asked %s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			p := NewHTTPProber()
			p.URL = func(*corev1.Pod) string { return server.URL + "/snapshot" }
			got, err := p.Ask(t.Context(), &corev1.Pod{}, "secret")
			if (err == nil) != tc.ok || !cmp.Equal(got, tc.want) {
				t.Errorf("Ask() = %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

func TestAckURL(t *testing.T) {
	for ip, want := range map[string]string{
		"10.1.2.3": "http://10.1.2.3:8082/snapshot",
		"fd00::1":  "http://[fd00::1]:8082/snapshot",
	} {
		if got := ackURL(&corev1.Pod{Status: corev1.PodStatus{PodIP: ip}}); got != want {
			t.Errorf("ackURL(%s) = %s, want %s", ip, got, want)
		}
	}
}

type proberFunc func(pod *corev1.Pod) (Ack, error)

func (f proberFunc) Ask(_ context.Context, pod *corev1.Pod, _ string) (Ack, error) { return f(pod) }

func TestAskAll(t *testing.T) {
	var pods []*corev1.Pod
	for range 3 * askAtOnce {
		pods = append(pods, &corev1.Pod{})
	}
	pods[1].Name = "broken"
	acks := askAll(t.Context(), proberFunc(func(pod *corev1.Pod) (Ack, error) {
		if pod.Name == "broken" {
			return Ack{}, errors.New("no answer")
		}
		return Ack{Hash: "a"}, nil
	}), pods, "token")
	for i, ack := range acks {
		if (ack == nil) != (i == 1) {
			t.Errorf("pod %d: %v", i, ack)
		}
	}
}

func TestReady(t *testing.T) {
	pod := func(name, ip string, status corev1.ConditionStatus, deleted bool) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Status.PodIP = ip
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: "True"}, {Type: corev1.PodReady, Status: status}}
		if deleted {
			p.DeletionTimestamp = &metav1.Time{}
			*p.DeletionTimestamp = metav1.Now()
		}
		return p
	}
	var names []string
	for _, p := range ready([]corev1.Pod{
		pod("ready", "10.0.0.1", "True", false), pod("unready", "10.0.0.2", "False", false),
		pod("ending", "10.0.0.3", "True", true), pod("without address", "", "True", false), {},
	}) {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"ready"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
