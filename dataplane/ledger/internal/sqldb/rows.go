package sqldb

import (
	"fmt"
	"strconv"
	"strings"
)

// Dialect writes what the two databases say differently about many rows at once.
type Dialect interface {
	// Values is a source of rows for FROM, called v, whose columns are column1, column2 and so on; its parameters are numbered
	// from first on. Rows have the same columns: text, int64, int, bool, or nil for text.
	Values(rows [][]any, first int) (source string, args []any)
	// Among is a condition, to follow an expression: it is one of the texts, of which there is at least one.
	Among(texts []string, first int) (condition string, args []any)
	// Batch is how many rows one statement should have at most.
	Batch() int
}

// arrays is PostgreSQL's: a parameter for each column, however many rows there are, so that the statement is short, the same
// for every number of rows, and soon read.
type arrays struct{}

// Batch is more than any batch has.
func (arrays) Batch() int { return 10_000 }

// Values takes columns as arrays.
func (arrays) Values(rows [][]any, first int) (string, []any) {
	var source, names strings.Builder
	args := make([]any, len(rows[0]))
	for i := range args {
		var kind string
		args[i], kind = column(rows, i)
		fmt.Fprintf(&source, ", $%d::%s[]", first+i, kind)
		fmt.Fprintf(&names, ", column%d", i+1)
	}
	return "unnest(" + source.String()[2:] + ") AS v(" + names.String()[2:] + ")", args
}

// Among is an array, too.
func (arrays) Among(texts []string, first int) (string, []any) {
	return fmt.Sprintf("= ANY($%d::text[])", first), []any{texts}
}

// column is one column of rows as an array, and the type of its elements.
func column(rows [][]any, i int) (any, string) {
	for _, r := range rows {
		switch r[i].(type) {
		case int64:
			return each(rows, i, func(v any) int64 { return v.(int64) }), "bigint"
		case int:
			return each(rows, i, func(v any) int64 { return int64(v.(int)) }), "bigint"
		case bool:
			return each(rows, i, func(v any) bool { return v.(bool) }), "boolean"
		case string:
			return texts(rows, i), "text"
		}
	}
	return texts(rows, i), "text"
}

func each[T any](rows [][]any, i int, as func(any) T) []T {
	out := make([]T, len(rows))
	for n, r := range rows {
		out[n] = as(r[i])
	}
	return out
}

// texts are texts that may be NULL. Where none is they go as they are, which is encoded in half the time.
func texts(rows [][]any, i int) any {
	for _, r := range rows {
		if _, ok := r[i].(string); !ok {
			return each(rows, i, func(v any) *string {
				if s, ok := v.(string); ok {
					return &s
				}
				return nil
			})
		}
	}
	return each(rows, i, func(v any) string { return v.(string) })
}

// lists is SQLite's, which has no arrays: a parameter for each value.
type lists struct{}

// Batch is small, because the driver looks for each parameter among all of them.
func (lists) Batch() int { return 100 }

// Values is VALUES.
func (lists) Values(rows [][]any, first int) (string, []any) {
	args := make([]any, 0, len(rows)*len(rows[0]))
	groups := make([]string, len(rows))
	for i, r := range rows {
		groups[i] = parameters(first+len(args), len(r))
		args = append(args, r...)
	}
	return "(VALUES " + strings.Join(groups, ",") + ") AS v", args
}

// Among is IN.
func (lists) Among(texts []string, first int) (string, []any) {
	args := make([]any, len(texts))
	for i, t := range texts {
		args[i] = t
	}
	return "IN " + parameters(first, len(texts)), args
}

// parameters writes ($1,$2,$3).
func parameters(first, count int) string {
	var b strings.Builder
	b.WriteByte('(')
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	b.WriteByte(')')
	return b.String()
}
