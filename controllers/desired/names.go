// Package desired builds what an AIGateway needs in the cluster: pure functions, objects in, apply configurations out,
// with only the fields that the operator owns. No client, no clock.
package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Ports of a gateway's pod.
const (
	// PortHTTP serves the API.
	PortHTTP = 8080
	// PortAdmin serves /healthz, /readyz and /metrics.
	PortAdmin = 9090
	// PortAck answers the operator which snapshot the replica runs.
	PortAck = 8082
	// PortService is the Service's, PortServiceTLS where the API has a certificate.
	PortService    = 80
	PortServiceTLS = 443
)

// Labels that the operator reads back.
const (
	// LabelManagedBy is on everything that the operator makes, with the value ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "layers-operator"
	// LabelInstance holds the short name of the gateway (see base).
	LabelInstance = "app.kubernetes.io/instance"
	// AnnotationGeneration is on the Deployment: the generation of the AIGateway that it was applied for.
	AnnotationGeneration = "layers.dev/gateway-generation"

	labelComponent = "app.kubernetes.io/component"
)

// maxBase leaves room for the suffixes in a name of 63 characters, the most that a Service and a label value take.
const maxBase = 50

var dnsLabel = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// base is the gateway's name where it fits in a Service's name, else a shortened one with a hash of the whole.
func base(gateway string) string {
	if len(gateway) <= maxBase && dnsLabel.MatchString(gateway) {
		return gateway
	}
	sum := sha256.Sum256([]byte(gateway))
	short := strings.ReplaceAll(gateway, ".", "-")
	short = strings.Trim(short[:min(len(short), maxBase-11)], "-")
	return "g-" + short + "-" + hex.EncodeToString(sum[:4])
}

// Name is the name of every object of a gateway but its snapshot and its migrations.
func Name(gateway string) string { return base(gateway) + "-gateway" }

// SnapshotName is the name of a gateway's snapshot Secret.
func SnapshotName(gateway string) string { return base(gateway) + "-snapshot" }

// Address is the base URL of a gateway inside the cluster.
func Address(gw *v1alpha1.AIGateway) string {
	return apiPort(gw) + "://" + Name(gw.Name) + "." + gw.Namespace + ".svc"
}

// apiPort is the name of the port that serves the API, and the scheme that it speaks.
func apiPort(gw *v1alpha1.AIGateway) string {
	if gw.Spec.TLS != nil {
		return "https"
	}
	return "http"
}

// Selector is what the pods of one gateway have and no other pods of the namespace; it never changes.
func Selector(gateway string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name": "layers",
		labelComponent:           "gateway",
		LabelInstance:            base(gateway),
	}
}

// SelectorText is Selector as the scale subresource wants it.
func SelectorText(gateway string) string {
	return labels.SelectorFromSet(Selector(gateway)).String()
}

// Labels are on everything that belongs to a gateway.
func Labels(gateway string) map[string]string {
	out := Selector(gateway)
	out[LabelManagedBy] = ManagedBy
	return out
}

// Owner refers to the gateway as the one controller of an object.
func Owner(gw *v1alpha1.AIGateway) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("AIGateway").
		WithName(gw.Name).WithUID(gw.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}
