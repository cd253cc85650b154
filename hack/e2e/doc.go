// Package e2e proves the main job on a real cluster: the chart is installed, objects are applied, a model is served and
// charged, changed, scaled, and everything goes again.
//
// The suite runs where KUBECONFIG, E2E_REDIS_URL, E2E_LEDGER_URL, E2E_IMAGE and E2E_MOCK_IMAGE are set, else it skips. The
// stores' URLs must work from the pods and from where the suite runs; the images must be there for the nodes. kubectl
// must be in PATH; helm comes from hack/tools. on-cluster starts all that and runs the suite.
package e2e
