package ledger_test

import (
	"fmt"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// BenchmarkSettle settles in batches of 200 into one hot account; rows/s is what counts.
func BenchmarkSettle(b *testing.B) {
	for name, url := range map[string]string{"sqlite": "sqlite:" + b.TempDir() + "/l.db", "postgres": testenv.Postgres(b)} {
		b.Run(name, func(b *testing.B) {
			l, err := ledger.Open(b.Context(), url, ledger.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			if err := l.Migrate(b.Context()); err != nil {
				b.Fatal(err)
			}
			const size = 200
			batch, n := make([]ledger.Settlement, size), 0
			for b.Loop() {
				for i := range batch {
					batch[i] = settlement(fmt.Sprintf("req_%s_%d_%d", b.Name(), b.N, n), "default/hot", 1)
					n++
				}
				if _, err := l.Settle(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
