package manifests

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// declared says whether the last good objects have some of a file.
func (l *loader) declared(path string) bool {
	for _, file := range l.last.Files {
		if file == path {
			return true
		}
	}
	return false
}

// keepLast goes on with the version before of an object, if there is one.
func (l *loader) keepLast(object string) {
	before, there := l.last.stored[object]
	if !there || l.set.Files[object] != "" {
		return
	}
	l.set.Files[object] = l.path
	l.restore(object, before)
	l.report.Problems = append(l.report.Problems, Finding{l.path, object, "the version before goes on"})
}

// restore puts an object of the last Set into this one.
func (l *loader) restore(object string, s stored) {
	_, name, _ := strings.Cut(object, " ")
	switch data := s.data.(type) {
	case map[string][]byte:
		namespace, name, _ := strings.Cut(name, "/")
		l.keepSecret(object, types.NamespacedName{Namespace: namespace, Name: name}, data)
	case map[string]string:
		l.keepNamespace(object, name, data)
	default:
		l.keep(object, s.kind, runtime.DeepCopyJSON(s.object))
	}
}

// keepBroken goes on with what was declared in files of which not everything could be told apart now, unless another
// file has it.
func (l *loader) keepBroken() {
	for _, path := range slices.Sorted(maps.Keys(l.broken)) {
		l.path = path
		var kept []string
		for _, object := range slices.Sorted(maps.Keys(l.last.Files)) {
			if l.last.Files[object] != path || l.set.Files[object] != "" {
				continue
			}
			l.set.Files[object] = path
			l.restore(object, l.last.stored[object])
			kept = append(kept, strconv.Quote(object))
		}
		if len(kept) > 0 {
			l.report.Problems = append(l.report.Problems, Finding{path, "", "what it declared before goes on: " + strings.Join(kept, ", ")})
		}
	}
}

// Changed names the objects of s that last has in another version, sorted.
func (s *Set) Changed(last *Set) []string {
	var out []string
	for object, now := range s.stored {
		if before, there := last.stored[object]; there && !reflect.DeepEqual(before, now) {
			out = append(out, object)
		}
	}
	slices.Sort(out)
	return out
}

// Equal says whether both have the same objects in the same versions and files.
func (s *Set) Equal(other *Set) bool {
	return maps.Equal(s.Files, other.Files) && len(s.Changed(other)) == 0
}

// Revert answers s with some objects in the version that last has of them. Those that last does not have stay as they are.
func (s *Set) Revert(objects []string, last *Set) Set {
	l := newLoader(nil, &Set{ages: s.ages})
	for _, object := range s.order {
		now := s.stored[object]
		if before, there := last.stored[object]; there && slices.Contains(objects, object) {
			now = before
		}
		l.set.Files[object] = s.Files[object]
		l.restore(object, now)
	}
	return l.set
}
