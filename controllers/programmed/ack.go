package programmed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/layers-dev/layers/controllers/desired"
)

// Ack is what a replica answers: the snapshot that it runs, and the stores that it does not reach ("ledger", "redis").
type Ack struct {
	Hash     string   `json:"hash"`
	Sequence int64    `json:"sequence"`
	Degraded []string `json:"degraded,omitempty"`
}

// Prober asks one replica. token is the bearer token of the gateway's snapshot.
type Prober interface {
	Ask(ctx context.Context, pod *corev1.Pod, token string) (Ack, error)
}

const (
	// askTimeout bounds one answer.
	askTimeout = time.Second
	// askAtOnce bounds the questions in flight.
	askAtOnce = 32
	// maxAckBytes bounds what is read of an answer.
	maxAckBytes = 4 << 10
)

// HTTPProber asks over HTTP at the pod's address.
type HTTPProber struct {
	// Client makes the requests; it must use no proxy, for pods are asked by their addresses.
	Client *http.Client
	// URL is where a pod is asked; nil: desired.PortAck at its address.
	URL func(*corev1.Pod) string
}

// NewHTTPProber makes a prober with a client of its own.
func NewHTTPProber() *HTTPProber {
	return &HTTPProber{Client: &http.Client{
		Timeout:   askTimeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
	}}
}

// Ask answers what the pod runs.
func (p *HTTPProber) Ask(ctx context.Context, pod *corev1.Pod, token string) (Ack, error) {
	locate := p.URL
	if locate == nil {
		locate = ackURL
	}
	url := locate(pod)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Ack{}, fmt.Errorf("asking for the snapshot: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.Client.Do(req)
	if err != nil {
		return Ack{}, fmt.Errorf("asking for the snapshot: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Ack{}, fmt.Errorf("asking for the snapshot: status %d", resp.StatusCode)
	}
	var ack Ack
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAckBytes)).Decode(&ack); err != nil {
		return Ack{}, fmt.Errorf("reading the snapshot's answer: %w", err)
	}
	return ack, nil
}

func ackURL(pod *corev1.Pod) string {
	return "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(desired.PortAck)) + "/snapshot"
}

// askAll asks every pod; a nil answer is a pod that could not be reached.
func askAll(ctx context.Context, prober Prober, pods []*corev1.Pod, token string) []*Ack {
	acks := make([]*Ack, len(pods))
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for i, pod := range pods {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			if ack, err := prober.Ask(ctx, pod, token); err == nil {
				mu.Lock()
				defer mu.Unlock()
				acks[i] = &ack
			}
			return nil
		})
	}
	_ = group.Wait() // no function of the group answers an error
	return acks
}

// ready are the pods that take requests.
func ready(pods []corev1.Pod) []*corev1.Pod {
	var out []*corev1.Pod
	for i := range pods {
		if p := &pods[i]; p.DeletionTimestamp.IsZero() && p.Status.PodIP != "" && isReady(p) {
			out = append(out, p)
		}
	}
	return out
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
