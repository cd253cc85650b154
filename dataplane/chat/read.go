package chat

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Names are the top-level fields of a protocol that something is done about, in the order of their rules.
type Names struct {
	list  []string
	exact map[string]int
}

// NewNames makes Names.
func NewNames(names ...string) *Names {
	n := &Names{list: names, exact: make(map[string]int, len(names))}
	for i, name := range names {
		n.exact[name] = i
	}
	return n
}

// Collect finds the value of each name in the request's body; nil: it is not there. A name that stands twice, or in another
// case by the folding of lenient JSON readers, is an *Error: an upstream may read the other one, and what is priced is what
// is forwarded.
func (n *Names) Collect(r *Request) ([][]byte, error) {
	values := make([][]byte, len(n.list))
	for _, m := range r.Fields {
		i, ok := n.exact[m.Name]
		if !ok {
			like := slices.IndexFunc(n.list, func(name string) bool { return strings.EqualFold(name, m.Name) })
			if like >= 0 {
				return nil, Refuse(n.list[like], "unknown_parameter", "Unknown parameter: '%s'. Did you mean '%s'?", Clip(m.Name), n.list[like])
			}
			continue
		}
		if values[i] != nil {
			return nil, Refuse(m.Name, "duplicate_parameter", "Duplicate parameter: '%s' is given more than once.", m.Name)
		}
		values[i] = r.Body[m.ValueStart:m.ValueEnd]
	}
	return values, nil
}

// Need notes a capability that the body asks for, once.
func (r *Request) Need(capability string) {
	if !slices.Contains(r.Needs, capability) {
		r.Needs = append(r.Needs, capability)
	}
}

// Malformed is the error for a body that is no JSON object.
func Malformed(cause error) *Error {
	return &Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "invalid_json", Cause: cause,
		Message: "We could not parse the JSON body of your request: " + cause.Error() + ".",
	}
}

// Refuse makes the error for one field: an *Error with status 400.
func Refuse(param, code, format string, args ...any) error {
	return &Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param,
		Message: fmt.Sprintf(format, args...),
	}
}

// Clip bounds what of a body is said again in an error.
func Clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
