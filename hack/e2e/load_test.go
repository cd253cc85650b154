package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/desired"
)

// replica is one pod of a gateway, and the base URL at which it alone answers.
type replica struct{ name, base string }

// onePod picks a pod of a gateway.
func onePod(ctx context.Context, gateway *v1alpha1.AIGateway) replica {
	GinkgoHelper()
	var service corev1.Service
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: gateway.Namespace, Name: desired.Name(gateway.Name)}, &service)).To(Succeed())
	pod, port := podsBehind(ctx, &service)[0], service.Spec.Ports[0].TargetPort.StrVal
	at := net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(containerPort(&pod, port)))
	if !routed(ctx, at) {
		at = tunnelTo(ctx, &pod, port)
	}
	return replica{pod.Name, "http://" + at}
}

// load asks again and again, so many requests at once, until done is called, which answers the ids of those that were answered. Others
// may break: a replica is killed meanwhile.
func load(ctx context.Context, base, key, model string, workers int) (done func() (answered []string)) {
	var mu sync.Mutex
	var ids []string
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	DeferCleanup(stop)
	ended := make(chan struct{})
	for range workers {
		running.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-ctx.Done():
					return
				default:
				}
				a, err := call(ctx, base, key, model, "mock:text=Hello there,delay=700ms,usage=1000/100", false)
				if err != nil || a.status != http.StatusOK {
					<-time.After(50 * time.Millisecond)
					continue
				}
				mu.Lock()
				ids = append(ids, a.requestID)
				mu.Unlock()
			}
		})
	}
	return func() []string {
		close(ended)
		running.Wait()
		return ids
	}
}
