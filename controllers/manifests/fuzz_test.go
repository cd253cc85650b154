package manifests

import "testing"

// FuzzObject: no bytes panic, and what is kept is counted.
func FuzzObject(f *testing.F) {
	f.Add("a.yaml", []byte(demo))
	f.Add("a.json", []byte(`{"apiVersion":"v1","kind":"List","items":[{}]}`))
	f.Add("a.yaml", []byte(head+"kind: Tier\nmetadata: {name: t}\nspec: {limits: [{unit: 1}]}\n---\n- a\n"))
	all, err := newSchemas()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file string, raw []byte) {
		l := newLoader(all, nil)
		l.path = file
		for _, doc := range documents(file, raw) {
			if doc.err != nil {
				continue
			}
			if obj, err := decode(doc.json); err == nil {
				l.object(t.Context(), obj, doc.json)
			}
		}
		if l.set.Len() != len(l.set.order) {
			t.Errorf("%d objects kept, %d counted", l.set.Len(), len(l.set.order))
		}
	})
}
