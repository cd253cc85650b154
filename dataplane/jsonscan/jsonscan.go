// Package jsonscan reads the members of a JSON object at depth one without building the rest, so that a request can be
// judged and rewritten in place: what is priced is what is forwarded. Standard library only.
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
