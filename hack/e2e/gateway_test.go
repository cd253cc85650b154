package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// routes says whether this machine routes to the cluster's Services; nil: not tried yet.
var routes *bool

// reach answers a base URL of the Service that a gateway's status.address names: the Service's own address where this
// machine routes to it, else a tunnel to one of the pods behind it, which ends with the spec.
func reach(ctx context.Context, gateway *v1alpha1.AIGateway) string {
	GinkgoHelper()
	at, err := url.Parse(gateway.Status.Address)
	Expect(err).NotTo(HaveOccurred())
	name, _, _ := strings.Cut(at.Hostname(), ".")
	var service corev1.Service
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: gateway.Namespace, Name: name}, &service)).To(Succeed())
	direct := net.JoinHostPort(service.Spec.ClusterIP, fmt.Sprint(service.Spec.Ports[0].Port))
	if routes == nil {
		answers := routed(ctx, direct)
		routes = &answers
	}
	if *routes {
		return "http://" + direct
	}
	return "http://" + tunnel(ctx, &service)
}

// routed dials for a while: the rules of a new Service take a moment to be there.
func routed(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// tunnel forwards a free local port to a pod behind a Service.
func tunnel(ctx context.Context, service *corev1.Service) string {
	GinkgoHelper()
	return tunnelTo(ctx, &podsBehind(ctx, service)[0], service.Spec.Ports[0].TargetPort.StrVal)
}

// podsBehind are the pods of a Service, at least one.
func podsBehind(ctx context.Context, service *corev1.Service) []corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(cluster.List(ctx, &pods, client.InNamespace(service.Namespace), client.MatchingLabels(service.Spec.Selector))).To(Succeed())
	Expect(pods.Items).NotTo(BeEmpty())
	return pods.Items
}

// tunnelTo forwards a free local port to a port of a pod, until the spec ends.
func tunnelTo(ctx context.Context, pod *corev1.Pod, portName string) string {
	GinkgoHelper()
	clients, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	transport, upgrader, err := spdy.RoundTripperFor(config)
	Expect(err).NotTo(HaveOccurred())
	to := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, to)
	stop, ready := make(chan struct{}), make(chan struct{})
	DeferCleanup(func() { close(stop) })
	port := containerPort(pod, portName)
	forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	failed := make(chan error, 1)
	go func() { failed <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		Fail(fmt.Sprintf("forwarding: %v", err))
	case <-ctx.Done():
		Fail("forwarding: " + ctx.Err().Error())
	}
	ports, err := forwarder.GetPorts()
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("127.0.0.1:%d", ports[0].Local)
}

// containerPort finds a pod's port by name.
func containerPort(pod *corev1.Pod, name string) int32 {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return p.ContainerPort
			}
		}
	}
	return 0
}

// answer is what a client sees of one call.
type answer struct {
	status    int
	requestID string
	text      string
	model     string
	// cost is usage.cost in nano-USD; usage says whether there was any.
	usage bool
	cost  json.Number
	body  string
}

// completion is the part of a body or a chunk that the suite reads.
type completion struct {
	Model   string `json:"model"`
	Choices []struct {
		Message struct{ Content string } `json:"message"`
		Delta   struct{ Content string } `json:"delta"`
	} `json:"choices"`
	Usage *struct {
		Cost json.Number `json:"cost"`
	} `json:"usage"`
}

func (a *answer) add(b []byte) error {
	var c completion
	if err := json.Unmarshal(b, &c); err != nil {
		return fmt.Errorf("%q: %w", b, err)
	}
	a.model = c.Model
	for _, choice := range c.Choices {
		a.text += choice.Message.Content + choice.Delta.Content
	}
	if c.Usage != nil {
		a.usage, a.cost = true, c.Usage.Cost
	}
	return nil
}

// call asks the gateway at base for a completion, streamed or not.
func call(ctx context.Context, base, key, model, prompt string, stream bool) (answer, error) {
	request := map[string]any{"model": model, "messages": []map[string]string{{"role": "user", "content": prompt}}}
	if stream {
		request["stream"] = true
		request["stream_options"] = map[string]bool{"include_usage": true}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, requestID: resp.Header.Get("X-Request-Id")}
	if stream && a.status == http.StatusOK {
		return a, a.readStream(resp.Body)
	}
	b, err := io.ReadAll(resp.Body)
	a.body = string(b)
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	return a, a.add(b)
}

// readStream reads events until the end marker.
func (a *answer) readStream(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return nil
		}
		if err := a.add([]byte(data)); err != nil {
			return err
		}
	}
	if lines.Err() != nil {
		return lines.Err()
	}
	return io.ErrUnexpectedEOF
}
