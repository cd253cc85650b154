package verify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// graph maps a package of this module to what its non-test files import.
type graph map[string]map[string]bool

// newGraph reads the graph of some files.
func newGraph(files []source) graph {
	g := graph{}
	for _, f := range files {
		if f.test {
			continue
		}
		if g[f.pkg] == nil {
			g[f.pkg] = map[string]bool{}
		}
		for _, p := range f.imports() {
			g[f.pkg][p] = true
		}
	}
	return g
}

// reach is everything that pkg imports, directly or through packages of this module.
func (g graph) reach(pkg string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(p string) {
		for next := range g[p] {
			if !seen[next] {
				seen[next] = true
				visit(next)
			}
		}
	}
	visit(pkg)
	return seen
}

// under says whether an import path is a folder of this module or below it.
func under(pkg string, folders ...string) bool {
	for _, f := range folders {
		p := module + "/" + f
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}

// ours says whether an import path belongs to this module.
func ours(pkg string) bool { return pkg == module || strings.HasPrefix(pkg, module+"/") }

// standard says whether an import path is of the standard library: its first element has no dot.
func standard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

// begins says whether an import path is one of the paths or below it.
func begins(pkg string, paths ...string) bool {
	for _, p := range paths {
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}

// An arrow is one rule: from what it speaks, whether it follows imports of imports, and what it refuses.
type arrow struct {
	from    func(pkg string) bool
	deep    bool
	refuses func(from, to string) bool
}

// sharedUpstream are the packages below upstream that the others build on: HTTP, and the protocol that two providers speak.
var sharedUpstream = []string{"dataplane/upstream/transport", "dataplane/upstream/responses"}

var arrows = map[string]arrow{
	"api imports nothing of ours": {
		from:    func(p string) bool { return under(p, "api") },
		refuses: func(_, to string) bool { return ours(to) },
	},
	"snapshot, sse, pricing, jsonscan import only the standard library": {
		from: func(p string) bool {
			return under(p, "dataplane/snapshot", "dataplane/sse", "dataplane/pricing", "dataplane/jsonscan")
		},
		refuses: func(_, to string) bool { return !standard(to) },
	},
	"inbound and upstream import only chat and the small packages": {
		from: func(p string) bool { return under(p, "dataplane/inbound", "dataplane/upstream") },
		refuses: func(from, to string) bool {
			return !standard(to) && !under(to, "dataplane/chat", "dataplane/jsonscan", "dataplane/sse", "dataplane/pricing", "dataplane/snapshot") &&
				!(under(from, "dataplane/upstream") && under(to, sharedUpstream...))
		},
	},
	"inbound and upstream never reach each other": {
		from: func(p string) bool { return under(p, "dataplane/inbound", "dataplane/upstream") },
		deep: true,
		refuses: func(from, to string) bool {
			return to != from && under(to, "dataplane/inbound", "dataplane/upstream") &&
				!(under(from, "dataplane/upstream") && under(to, sharedUpstream...))
		},
	},
	"nothing under dataplane reaches controllers": {
		from:    func(p string) bool { return under(p, "dataplane") },
		deep:    true,
		refuses: func(_, to string) bool { return under(to, "controllers") },
	},
	"compile and desired know no client, no clock, no context": {
		from: func(p string) bool { return under(p, "controllers/compile", "controllers/desired") },
		refuses: func(_, to string) bool {
			return begins(to, "context", "time", "net/http", "sigs.k8s.io/controller-runtime/pkg/client") ||
				to == "sigs.k8s.io/controller-runtime" ||
				// apply configurations are plain structs, no client
				(begins(to, "k8s.io/client-go") && !begins(to, "k8s.io/client-go/applyconfigurations"))
		},
	},
	"only console and billing know Stripe": {
		from:    func(p string) bool { return !under(p, "dataplane/console", "dataplane/billing") },
		refuses: func(_, to string) bool { return begins(to, "github.com/stripe/stripe-go") },
	},
	"no provider's SDK outside tests": {
		from: func(string) bool { return true },
		refuses: func(_, to string) bool {
			return begins(to, "github.com/openai/openai-go", "github.com/anthropics/anthropic-sdk-go", "google.golang.org/genai")
		},
	},
}

// broken lists what a graph has against one rule, and how many packages the rule spoke of.
func (a arrow) broken(g graph) (found []string, spoke int) {
	bad := map[string]bool{}
	for pkg := range g {
		if !a.from(pkg) {
			continue
		}
		spoke++
		to := g[pkg]
		if a.deep {
			to = g.reach(pkg)
		}
		for p := range to {
			if a.refuses(pkg, p) {
				bad[strings.TrimPrefix(pkg, module+"/")+" -> "+strings.TrimPrefix(p, module+"/")] = true
			}
		}
	}
	return sorted(bad), spoke
}

func TestArrows(t *testing.T) {
	g := newGraph(sources(t))
	for name, a := range arrows {
		t.Run(name, func(t *testing.T) {
			found, spoke := a.broken(g)
			if spoke == 0 {
				t.Error("the rule speaks of no package: it has moved")
			}
			if diff := cmp.Diff([]string{}, found); diff != "" {
				t.Errorf("imports against the rule (+):\n%s", diff)
			}
		})
	}
}

// TestArrowsFind proves that each rule finds what it is for.
func TestArrowsFind(t *testing.T) {
	in := func(p string) string { return module + "/" + p }
	tests := map[string]struct {
		g    graph
		want []string
	}{
		"api imports nothing of ours": {
			g:    graph{in("api/v1alpha1"): {in("dataplane/snapshot"): true, "time": true}},
			want: []string{"api/v1alpha1 -> dataplane/snapshot"},
		},
		"snapshot, sse, pricing, jsonscan import only the standard library": {
			g:    graph{in("dataplane/sse"): {"bufio": true, in("dataplane/chat"): true}},
			want: []string{"dataplane/sse -> dataplane/chat"},
		},
		"inbound and upstream import only chat and the small packages": {
			g:    graph{in("dataplane/inbound/openai"): {in("dataplane/chat"): true, in("dataplane/ledger"): true}},
			want: []string{"dataplane/inbound/openai -> dataplane/ledger"},
		},
		"inbound and upstream never reach each other": {
			g: graph{
				in("dataplane/inbound/openai"):  {in("dataplane/chat"): true},
				in("dataplane/chat"):            {in("dataplane/upstream/openai"): true},
				in("dataplane/upstream/openai"): {},
			},
			want: []string{"dataplane/inbound/openai -> dataplane/upstream/openai"},
		},
		"nothing under dataplane reaches controllers": {
			g: graph{
				in("dataplane/server"):    {in("config/crd"): true},
				in("config/crd"):          {in("controllers/compile"): true},
				in("controllers/compile"): {},
			},
			want: []string{"dataplane/server -> controllers/compile"},
		},
		"compile and desired know no client, no clock, no context": {
			g:    graph{in("controllers/desired"): {"context": true, "strings": true, "k8s.io/client-go/rest": true, "k8s.io/client-go/applyconfigurations/core/v1": true}},
			want: []string{"controllers/desired -> context", "controllers/desired -> k8s.io/client-go/rest"},
		},
		"only console and billing know Stripe": {
			g:    graph{in("dataplane/ledger"): {"github.com/stripe/stripe-go/v76": true}, in("dataplane/billing"): {"github.com/stripe/stripe-go/v76": true}},
			want: []string{"dataplane/ledger -> github.com/stripe/stripe-go/v76"},
		},
		"no provider's SDK outside tests": {
			g:    graph{in("hack/bench"): {"github.com/openai/openai-go/v3": true}},
			want: []string{"hack/bench -> github.com/openai/openai-go/v3"},
		},
	}
	for name, a := range arrows {
		tc, ok := tests[name]
		if !ok {
			t.Errorf("no case for the rule %q", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			found, _ := a.broken(tc.g)
			if diff := cmp.Diff(tc.want, found); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}
