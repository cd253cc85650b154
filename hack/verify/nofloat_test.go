package verify

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// moneyRooms are the packages where money is computed, held, stored or shown. Later rooms join the list when they come.
var moneyRooms = []string{"dataplane/pricing", "dataplane/ledger", "dataplane/admit", "dataplane/settle", "dataplane/snapshot", "controllers/compile"}

// notMoney are files of those rooms with floats in them, each for its reason.
var notMoney = map[string]string{
	"dataplane/settle/metrics.go":         "Prometheus counts in float64; nothing is computed out of what it is told, amounts in USD least of all",
	"dataplane/settle/wal/metrics.go":     "Prometheus counts in float64; the file has counts and ages",
	"dataplane/settle/reap/metrics.go":    "Prometheus counts in float64; nothing is computed out of what it is told",
	"dataplane/settle/upkeep/metrics.go":  "Prometheus counts in float64; the file has counts",
	"dataplane/admit/failover/metrics.go": "Prometheus counts in float64; the file has counts",
}

// floatFuncs are functions that make or print floats without naming the type.
var floatFuncs = map[string]bool{
	"strconv.ParseFloat": true, "strconv.FormatFloat": true, "strconv.AppendFloat": true,
	"big.NewFloat": true, "big.ParseFloat": true,
}

// floats finds floating point in a file: types, literals, conversions and package math.
func floats(f *ast.File) []ast.Node {
	var found []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			switch n.Name {
			case "float32", "float64", "complex64", "complex128":
				found = append(found, n)
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				found = append(found, n)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && (floatFuncs[x.Name+"."+n.Sel.Name] || (x.Name == "big" && n.Sel.Name == "Float")) {
				found = append(found, n)
			}
		case *ast.CallExpr: // d.Seconds() and the like answer a float64
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) == 0 {
				switch s.Sel.Name {
				case "Seconds", "Minutes", "Hours":
					found = append(found, n)
				}
			}
		}
		return true
	})
	return found
}

func TestNoFloatsInMoney(t *testing.T) {
	var files, found []string
	for _, s := range sources(t) {
		if s.test || !under(s.pkg, moneyRooms...) || notMoney[s.path] != "" {
			continue
		}
		files = append(files, s.path)
		for _, n := range floats(s.file) {
			found = append(found, s.position(n))
		}
	}
	if len(files) < 4 {
		t.Fatalf("only %d files of money: the rooms have moved", len(files))
	}
	if diff := cmp.Diff([]string(nil), found); diff != "" {
		t.Errorf("floating point in money (+): use int64 nano-USD\n%s", diff)
	}
}

func TestFloatsFinds(t *testing.T) {
	const head = "package p\n"
	tests := map[string]struct {
		src  string
		want int
	}{
		"type":       {"var x float64", 1},
		"conversion": {"var x = int64(float32(3))", 1},
		"literal":    {"var x = 3 * 0.5", 1},
		"exponent":   {"var x = 1e9", 1},
		"parse":      {"var x, _ = strconv.ParseFloat(s, 64)", 1},
		"big":        {"var x big.Float", 1},
		"duration":   {"var x = d.Seconds()", 1},
		"integers":   {"var x int64 = 1_000_000_000 // 1.5 in a comment, and \"2.5\" as text\nvar s = \"1.5\"", 0},
		"rational":   {"var x = big.NewInt(3)", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "p.go", head+tc.src, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(floats(f)); got != tc.want {
				t.Errorf("floats() found %d, want %d", got, tc.want)
			}
		})
	}
}
