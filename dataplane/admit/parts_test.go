package admit

import "testing"

// The slots are those that the specification of Redis Cluster, and a real server, say.
func TestSlots(t *testing.T) {
	for tag, want := range map[string]int{"123456789": 12739, "": 0, "foo": 12182, "bar": 5061, "user1000": 3443} {
		same(t, tag, slot(tag), want)
	}
	for key, want := range map[string]string{"lyr:{ns/a}:account": "ns/a", "x": "x", "{}x": "{}x", "a{b": "a{b", "a{b}{c}": "b"} {
		same(t, key, hashTag(key), want)
	}
	for part, of := range ends() {
		same(t, "first", slot(of[0]), part*partSlots)
		same(t, "last", slot(of[1]), (part+1)*partSlots-1)
	}
}
