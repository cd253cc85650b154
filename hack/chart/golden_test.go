package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/controllers/operator"
)

// rendered are the objects of one golden file, which `make generate` renders with helm.
type rendered struct {
	deployments  []appsv1.Deployment
	accounts     []corev1.ServiceAccount
	services     []corev1.Service
	clusterRoles []rbacv1.ClusterRole
	roles        []rbacv1.Role
	bindings     []rbacv1.RoleBinding
	clusterBinds []rbacv1.ClusterRoleBinding
	crds         []apiextensionsv1.CustomResourceDefinition
	// monitoring are the Prometheus operator's objects by their kind.
	monitoring map[string]unstructured.Unstructured
}

// read decodes every document strictly: an unknown field is an error.
func read(t *testing.T, name string) rendered {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := rendered{monitoring: map[string]unstructured.Unstructured{}}
	for _, doc := range bytes.Split(b, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		switch kind.Kind {
		case "":
			// a document of comments alone
		case "Deployment":
			r.deployments = append(r.deployments, decode[appsv1.Deployment](t, doc))
		case "ServiceAccount":
			r.accounts = append(r.accounts, decode[corev1.ServiceAccount](t, doc))
		case "Service":
			r.services = append(r.services, decode[corev1.Service](t, doc))
		case "ClusterRole":
			r.clusterRoles = append(r.clusterRoles, decode[rbacv1.ClusterRole](t, doc))
		case "Role":
			r.roles = append(r.roles, decode[rbacv1.Role](t, doc))
		case "RoleBinding":
			r.bindings = append(r.bindings, decode[rbacv1.RoleBinding](t, doc))
		case "ClusterRoleBinding":
			r.clusterBinds = append(r.clusterBinds, decode[rbacv1.ClusterRoleBinding](t, doc))
		case "CustomResourceDefinition":
			r.crds = append(r.crds, decode[apiextensionsv1.CustomResourceDefinition](t, doc))
		case "ServiceMonitor", "PodMonitor", "PrometheusRule":
			r.monitoring[kind.Kind] = unstructured.Unstructured{Object: decode[map[string]any](t, doc)}
		default:
			t.Errorf("%s: nobody looks at kind %s", name, kind.Kind)
		}
	}
	return r
}

func decode[T any](t *testing.T, doc []byte) T {
	t.Helper()
	var o T
	if err := yaml.UnmarshalStrict(doc, &o); err != nil {
		t.Errorf("%v in\n%s", err, doc)
	}
	return o
}

func TestGolden(t *testing.T) {
	tests := map[string]struct {
		image, gateway, account string
		accounts, services      int
		crds                    int
		kept                    string
	}{
		"default": {
			image: "layers-dev/layers:0.1.0", gateway: "layers-dev/layers:0.1.0", account: "layers-operator",
			accounts: 1, services: 1, crds: 6, kept: "keep",
		},
		"full": {
			image:   "registry.example.com/layers@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
			gateway: "registry.example.com/layers:gateway", account: "gw-operator",
			accounts: 1, services: 1, crds: 6,
		},
		"bare": {
			image: "layers-dev/layers:v9", gateway: "layers-dev/layers:v9", account: "existing",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := read(t, "testdata/"+name+".golden.yaml")
			if len(r.deployments) != 1 || len(r.accounts) != tc.accounts || len(r.services) != tc.services || len(r.crds) != tc.crds {
				t.Fatalf("%d Deployments, %d ServiceAccounts, %d Services, %d CRDs", len(r.deployments), len(r.accounts), len(r.services), len(r.crds))
			}
			pod := r.deployments[0].Spec.Template
			if got := pod.Spec.Containers[0].Image; got != tc.image {
				t.Errorf("image %s, want %s", got, tc.image)
			}
			checkArgs(t, pod.Spec.Containers[0].Args, tc.gateway)
			checkRestricted(t, pod.Spec)
			checkAccount(t, r, tc.account)
			for _, s := range r.services {
				if diff := cmp.Diff(r.deployments[0].Spec.Selector.MatchLabels, s.Spec.Selector); diff != "" {
					t.Errorf("the Service selects other pods (-want +got):\n%s", diff)
				}
			}
			for _, crd := range r.crds {
				if got := crd.Annotations["helm.sh/resource-policy"]; got != tc.kept {
					t.Errorf("%s: resource policy %q, want %q", crd.Name, got, tc.kept)
				}
			}
		})
	}
}

// checkArgs parses the arguments as the program would.
func checkArgs(t *testing.T, args []string, gateway string) {
	t.Helper()
	if len(args) == 0 || args[0] != "operator" {
		t.Fatalf("args %q", args)
	}
	cmd := operator.NewCommand()
	if err := cmd.ParseFlags(args[1:]); err != nil {
		t.Fatalf("args %q: %v", args, err)
	}
	for flag, want := range map[string]string{"leader-elect": "true", "gateway-image": gateway} {
		if got := cmd.Flag(flag).Value.String(); got != want {
			t.Errorf("--%s=%s, want %s", flag, got, want)
		}
	}
}

// checkRestricted holds the pod to the Pod Security Standard "restricted".
func checkRestricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0].SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !cmp.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("security contexts %v, %v", pod.SecurityContext, c)
	}
}

// checkAccount follows the operator's rights: pod to account to bindings to roles.
func checkAccount(t *testing.T, r rendered, account string) {
	t.Helper()
	if got := r.deployments[0].Spec.Template.Spec.ServiceAccountName; got != account {
		t.Errorf("the pod runs as %s, want %s", got, account)
	}
	if len(r.clusterRoles) != 2 || len(r.clusterBinds) != 1 || len(r.roles) != 1 || len(r.bindings) != 1 {
		t.Fatal("one ClusterRole and one Role with their bindings are expected, and one ClusterRole for metrics")
	}
	want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: "layers-system"}}
	for _, subjects := range [][]rbacv1.Subject{r.clusterBinds[0].Subjects, r.bindings[0].Subjects} {
		if diff := cmp.Diff(want, subjects); diff != "" {
			t.Errorf("subjects (-want +got):\n%s", diff)
		}
	}
	own := r.operatorRole(t)
	if r.clusterBinds[0].RoleRef.Name != own.Name || r.bindings[0].RoleRef.Name != r.roles[0].Name {
		t.Errorf("bindings of %s and %s, roles %s and %s", r.clusterBinds[0].RoleRef.Name, r.bindings[0].RoleRef.Name, own.Name, r.roles[0].Name)
	}
}

// operatorRole is the ClusterRole of the operator; the other one is for metrics.
func (r rendered) operatorRole(t *testing.T) rbacv1.ClusterRole {
	t.Helper()
	for _, role := range r.clusterRoles {
		if !strings.HasSuffix(role.Name, "-metrics-reader") {
			return role
		}
	}
	t.Fatal("no ClusterRole of the operator")
	return rbacv1.ClusterRole{}
}

// TestGoldenMetrics follows the metrics' certificate into the pod, and their port out of it.
func TestGoldenMetrics(t *testing.T) {
	for name, secret := range map[string]string{"default": "", "full": "metrics-certificate"} {
		r := read(t, "testdata/"+name+".golden.yaml")
		pod, got := r.deployments[0].Spec.Template.Spec, ""
		for _, v := range pod.Volumes {
			got = v.Secret.SecretName
		}
		cmd := operator.NewCommand()
		if err := cmd.ParseFlags(pod.Containers[0].Args[1:]); err != nil {
			t.Fatal(err)
		}
		dir := ""
		for _, m := range pod.Containers[0].VolumeMounts {
			dir = m.MountPath
		}
		if got != secret || cmd.Flag("metrics-cert-dir").Value.String() != dir || (dir == "") != (secret == "") {
			t.Errorf("%s: Secret %q at %q, args %q", name, got, dir, pod.Containers[0].Args)
		}
		if r.services[0].Spec.Ports[0].TargetPort.StrVal != pod.Containers[0].Ports[0].Name || pod.Containers[0].Ports[0].ContainerPort != 8443 {
			t.Errorf("%s: the Service does not lead to the metrics", name)
		}
	}
}

// TestGoldenMonitoring holds the chart's monitors and alerts to those of config/prometheus, and to what the chart renders.
func TestGoldenMonitoring(t *testing.T) {
	if r := read(t, "testdata/default.golden.yaml"); len(r.monitoring) > 0 {
		t.Errorf("without being asked to it makes %v", r.monitoring)
	}
	r := read(t, "testdata/full.golden.yaml")
	for kind, file := range map[string]string{"ServiceMonitor": "servicemonitor", "PodMonitor": "podmonitor", "PrometheusRule": "rules"} {
		raw, err := os.ReadFile("../../config/prometheus/" + file + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		want, got := decode[map[string]any](t, raw)["spec"].(map[string]any), r.monitoring[kind]
		if kind == "ServiceMonitor" { // whose labels are the release's
			want["selector"] = map[string]any{"matchLabels": matchLabels(r)}
		}
		if diff := cmp.Diff(want, got.Object["spec"]); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", kind, diff)
		}
		if got.GetNamespace() != "layers-system" || got.GetLabels()["release"] != "prometheus" || got.GetLabels()["app.kubernetes.io/instance"] != "layers" {
			t.Errorf("%s: namespace %q, labels %v", kind, got.GetNamespace(), got.GetLabels())
		}
	}
	for k, v := range matchLabels(r) {
		if r.services[0].Labels[k] != v {
			t.Errorf("the ServiceMonitor takes another Service: %v", r.services[0].Labels)
		}
	}
}

// matchLabels are those of the operator's pods.
func matchLabels(r rendered) map[string]any {
	out := map[string]any{}
	for k, v := range r.deployments[0].Spec.Selector.MatchLabels {
		out[k] = v
	}
	return out
}

// TestGoldenRules holds the chart's rules to those that controller-gen collects.
func TestGoldenRules(t *testing.T) {
	b, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(strings.TrimPrefix(string(b), "---\n"), "\n---\n")
	if len(docs) != 2 {
		t.Fatalf("%d roles", len(docs))
	}
	r := read(t, "testdata/default.golden.yaml")
	if diff := cmp.Diff(decode[rbacv1.ClusterRole](t, []byte(docs[0])).Rules, r.operatorRole(t).Rules); diff != "" {
		t.Errorf("ClusterRole (-config +chart):\n%s", diff)
	}
	if diff := cmp.Diff(decode[rbacv1.Role](t, []byte(docs[1])).Rules, r.roles[0].Rules); diff != "" {
		t.Errorf("Role (-config +chart):\n%s", diff)
	}
}
