// Package jsonscan reads the members of a JSON object at depth one without building the rest, so that a request can be
// judged and rewritten in place: what is priced is what is forwarded. Standard library only.
//
// Scan is the strict part: it validates the whole text. Elements, Members and the value readers work on text that Scan
// has accepted and check nothing again.
package jsonscan

// Member is one member of the object.
type Member struct {
	// Name is the key, unescaped.
	Name string
	// KeyStart is the offset of the key's opening quote; [ValueStart, ValueEnd) is the value, without white space around it.
	KeyStart, ValueStart, ValueEnd int
}

// Object is a JSON object's members in their order, duplicates included.
type Object []Member

// Get returns the last member with that exact name, as most JSON readers do where a name is given twice.
func (o Object) Get(name string) (Member, bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].Name == name {
			return o[i], true
		}
	}
	return Member{}, false
}

// Value returns the raw value of the last member with that name in body, the text that o was scanned from; nil: no such
// member.
func (o Object) Value(body []byte, name string) []byte {
	m, ok := o.Get(name)
	if !ok {
		return nil
	}
	return body[m.ValueStart:m.ValueEnd]
}
