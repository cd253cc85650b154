package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kubectl runs kubectl as a person would, and answers what it prints.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := command(ctx, "kubectl", args...)
	Expect(err).NotTo(HaveOccurred(), "kubectl %s", strings.Join(args, " "))
	return out
}

// helm runs the pinned helm from the root of the repository.
func helm(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := command(ctx, "go", append([]string{"tool", "-modfile=hack/tools/go.mod", "helm"}, args...)...)
	Expect(err).NotTo(HaveOccurred(), "helm %s", strings.Join(args, " "))
	return out
}

// command runs a program in the root of the repository; its error output becomes part of the error.
func command(ctx context.Context, name string, args ...string) (string, error) {
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// create makes an object in the cluster.
func create(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Expect(cluster.Create(ctx, o)).To(Succeed(), "%T %s", o, o.GetName())
}

// dump writes what helps to understand a failure: objects, events, and the logs of our pods. No Secret is read.
func dump(ctx context.Context) {
	for _, args := range [][]string{
		{"get", "layers,deployments,pods,services", "-A", "-o", "wide"},
		{"get", "aigateways,providers,models,tiers,creditpolicies,apikeys", "-n", namespace, "-o", "yaml"},
		{"get", "events", "-n", namespace, "--sort-by=.lastTimestamp"},
	} {
		out, err := command(ctx, "kubectl", args...)
		GinkgoWriter.Printf("--- kubectl %s (%v)\n%s\n", strings.Join(args, " "), err, out)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return
	}
	for _, ns := range []string{operatorNamespace, namespace} {
		var pods corev1.PodList
		if err := cluster.List(ctx, &pods, client.InNamespace(ns)); err != nil {
			continue
		}
		for _, p := range pods.Items {
			lines := int64(200)
			log, err := clients.CoreV1().Pods(ns).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
			GinkgoWriter.Printf("--- log of %s/%s (%v)\n%s\n", ns, p.Name, err, log)
		}
	}
}
