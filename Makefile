# The workshop. `make` lists what there is; each line's text is behind its target.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Tools are pinned in a module of their own. They and the program are built without cgo, so that they share what is built;
# only the race detector needs cgo.
export CGO_ENABLED := 0
TOOL := go tool -modfile=hack/tools/go.mod
HELM := $(TOOL) helm

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE ?= layers-dev/layers:$(VERSION)
LDFLAGS := -s -w
CHART := charts/layers
GOLDEN := hack/chart/testdata
TEST ?= ./...
CHAOS_SEEDS ?= 10
CHAOS_DURATION ?= 60s
CHAOS_RESULTS ?= hack/chaos/RESULTS.md

##@ Use

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## serve on this machine with nothing configured: the demo model, embedded stores
	go run . up

.PHONY: build
build: ## build the program, static, into bin/layers
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/layers .

.PHONY: image
image: ## build the container image IMAGE with docker
	docker build --tag $(IMAGE) .

##@ Change

.PHONY: test
test: ## run all tests with the race detector; gets Redis, PostgreSQL, etcd and kube-apiserver first if need be
	go run ./hack/testenv/ensure
	export KUBEBUILDER_ASSETS=$$(go run ./hack/envtest/ensure) && CGO_ENABLED=1 go test -race -timeout 30m $(TEST)

.PHONY: test-versions
test-versions: ## run the stores' tests on the oldest and newest Redis, Valkey and PostgreSQL; VERSIONS=all on all, or some: VERSIONS="6.2 14"
	go run ./hack/versions $(VERSIONS)

.PHONY: fuzz
fuzz: ## run each fuzz target of what reads foreign bytes for FUZZTIME (60s)
	hack/fuzz

.PHONY: chaos
chaos: ## run CHAOS_SEEDS (10) runs of CHAOS_DURATION (60s) with faults, and write hack/chaos/RESULTS.md
	go run ./hack/testenv/ensure
	go run ./hack/chaos --seeds $(CHAOS_SEEDS) --duration $(CHAOS_DURATION) --results '$(CHAOS_RESULTS)'

.PHONY: lint
lint: ## run the linters
	$(TOOL) golangci-lint run

.PHONY: generate
generate: generate-api generate-models generate-chart generate-docs ## write everything that is generated

.PHONY: generate-api
generate-api:
	$(TOOL) controller-gen object paths=./api/...
	$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	$(TOOL) controller-gen rbac:roleName=layers-operator paths=./controllers/... output:rbac:dir=config/rbac

.PHONY: generate-models
generate-models: generate-api
	go run ./hack/models

.PHONY: generate-chart
generate-chart: generate-api generate-models
	go run ./hack/chart
	for values in $(GOLDEN)/*.values.yaml; do \
	  $(HELM) template layers $(CHART) --namespace layers-system --values "$$values" >"$${values%.values.yaml}.golden.yaml"; \
	done

.PHONY: generate-docs
generate-docs: generate-api
	go run ./hack/docs

.PHONY: verify
verify: generate ## write everything that is generated, check everything that can be read, and fail on any change
	go mod verify
	go mod tidy -diff
	$(HELM) lint --strict $(CHART)
	kubectl=$$(go run ./hack/envtest/ensure)/kubectl && for dir in default samples models models-vercel prometheus; do "$$kubectl" kustomize config/$$dir >/dev/null; done
	$(MAKE) lint
	git diff --exit-code
	@untracked=$$(git ls-files --others --exclude-standard); \
	if [[ -n $$untracked ]]; then echo "files that are not in git:"; echo "$$untracked"; exit 1; fi

.PHONY: e2e
e2e: ## run the end-to-end tests on the cluster of KUBECONFIG; hack/e2e says which variables they need
	go test -count=1 -timeout 20m -v ./hack/e2e -ginkgo.v -ginkgo.no-color
