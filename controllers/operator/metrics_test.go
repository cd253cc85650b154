package operator_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// scrape asks for the metrics as the bearer of a token.
func scrape(ctx context.Context, g Gomega, token string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+metricsAddress+"/metrics", nil)
	g.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a certificate of its own
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	g.Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, string(body)
}

var _ = Describe("The operator's metrics", func() {
	It("are for whom the API server lets read them", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		anybody, scraper := token(ctx, ns, "anybody"), token(ctx, ns, "scraper")
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "scraper-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "layers-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "scraper"}},
		}
		create(ctx, binding)
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(c.Delete(ctx, binding))).To(Succeed()) })
		status := func(token string, want int) string {
			GinkgoHelper()
			var body string
			Eventually(func(g Gomega) {
				var got int
				got, body = scrape(ctx, g, token)
				g.Expect(got).To(Equal(want))
			}).Should(Succeed())
			return body
		}
		status("", http.StatusUnauthorized)
		code, _ := scrape(ctx, Default, "no-token-at-all")
		Expect(code).To(BeNumerically(">=", 400))
		status(anybody, http.StatusForbidden)
		Expect(status(scraper, http.StatusOK)).To(ContainSubstring("go_goroutines"))
	})
})

// token makes a ServiceAccount and answers a token of it.
func token(ctx context.Context, ns, name string) string {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: objectMeta(ns, name)}
	create(ctx, account)
	request := &authenticationv1.TokenRequest{}
	Expect(c.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return request.Status.Token
}
