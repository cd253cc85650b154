package openai

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Signed thoughts must come back with the next turn, or the provider refuses it: Anthropic's and OpenAI's as they were,
// Gemini's signature with its call. Many clients keep OpenAI's own fields alone. What every client gives back is the id of a
// tool call, so the id carries them:
//
//	<the provider's id>~<base64url without padding of deflate of JSON>
//
// The JSON is {"t":[thought...],"s":signature}: t has the signed thoughts that stand between the call before and this one,
// s is the signature of the call itself. A thought is {"x":text,"s":signature,"e":encrypted,"f":format,"i":id}; members that
// are empty are left out. An id that would be longer than maxCarry carries less, or nothing. What comes back is taken out of
// the id wherever it stands; anything that does not decode is a part of the client's own id.

const (
	// maxCarry bounds an id in bytes.
	maxCarry = 16 << 10
	// maxInflated bounds what an id unpacks to, in bytes: a few bytes of deflate can say a thousand times as much.
	maxInflated = 64 << 10
	// carryMark stands between an id and what it carries; base64url has no such character.
	carryMark = '~'
)

// carried is what an id carries.
type carried struct {
	Thoughts  []carriedThought `json:"t,omitempty"`
	Signature string           `json:"s,omitempty"`
}

type carriedThought struct {
	Text      string `json:"x,omitempty"`
	Signature string `json:"s,omitempty"`
	Encrypted string `json:"e,omitempty"`
	Format    string `json:"f,omitempty"`
	ID        string `json:"i,omitempty"`
}

func (t carriedThought) thought() chat.Thought {
	return chat.Thought{Text: t.Text, Signature: t.Signature, Encrypted: t.Encrypted, Format: t.Format, ID: t.ID}
}

// signed says that a thought has what its maker wants back.
func signed(t *chat.Thought) bool { return t.Signature != "" || t.Encrypted != "" }

// carry gives an id what it shall carry: the signed ones of the thoughts, and the call's own signature.
func carry(id string, thoughts []chat.Thought, signature string) string {
	c := carried{Signature: signature}
	for i := range thoughts {
		if t := &thoughts[i]; signed(t) {
			c.Thoughts = append(c.Thoughts, carriedThought{t.Text, t.Signature, t.Encrypted, t.Format, t.ID})
		}
	}
	if packed, ok := pack(id, c); ok {
		return packed
	}
	if packed, ok := pack(id, carried{Signature: signature}); ok {
		return packed
	}
	return id
}

func pack(id string, c carried) (string, bool) {
	if len(c.Thoughts) == 0 && c.Signature == "" {
		return "", false
	}
	text, err := encode(c)
	if err != nil || len(text) > maxInflated {
		return "", false
	}
	var b bytes.Buffer
	// The level is one that exists, and a buffer takes every write.
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(text)
	_ = w.Close()
	packed := id + string(carryMark) + base64.RawURLEncoding.EncodeToString(b.Bytes())
	return packed, len(packed) <= maxCarry
}

// uncarry takes out of an id what it carries; size is what that was, unpacked, in bytes. An id that carries nothing is
// returned as it is, with size 0.
func uncarry(id string) (bare string, c carried, size int) {
	at := strings.LastIndexByte(id, carryMark)
	if at < 0 || len(id) > maxCarry {
		return id, carried{}, 0
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(id[at+1:])
	if err != nil || len(packed) == 0 {
		return id, carried{}, 0
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxInflated+1))
	if err != nil || len(text) > maxInflated || json.Unmarshal(text, &c) != nil {
		return id, carried{}, 0
	}
	if len(c.Thoughts) == 0 && c.Signature == "" {
		return id, carried{}, 0
	}
	return id[:at], c, len(text)
}
