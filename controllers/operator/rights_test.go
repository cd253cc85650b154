package operator_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
)

// That the rights suffice shows in the other specs, whose operators have no others.
var _ = Describe("The operator's rights", func() {
	DescribeTable("end where it needs nothing", func(ctx SpecContext, namespace, group, resource, subresource, verb string, want bool) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: operatorConfig().Impersonate.UserName,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: group, Resource: resource, Subresource: subresource, Verb: verb,
			},
		}}
		create(ctx, review)
		Expect(review.Status.Allowed).To(Equal(want))
	},
		Entry("events elsewhere", "default", "", "events", "", "create", false),
		Entry("the old events elsewhere", "default", "", "events", "", "patch", false),
		Entry("events of what it watches", "default", "events.k8s.io", "events", "", "create", true),
		Entry("events of its own Lease", "layers-system", "", "events", "", "create", true),
		Entry("new events of its own Lease", "layers-system", "events.k8s.io", "events", "", "patch", true),
		Entry("its own Lease", "layers-system", "coordination.k8s.io", "leases", "", "update", true),
		Entry("the end of a Lease", "layers-system", "coordination.k8s.io", "leases", "", "delete", false),
		Entry("all Leases", "layers-system", "coordination.k8s.io", "leases", "", "list", false),
		Entry("one pod", "default", "", "pods", "", "get", false),
		Entry("a status", "default", "layers.dev", "aigateways", "status", "get", false),
		Entry("the end of a Secret", "default", "", "secrets", "", "delete", false),
	)
})
