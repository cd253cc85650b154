package responses

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Signed thoughts of other makers than OpenAI survive the round trip in the encrypted_content of a reasoning item, which
// every client of the protocol sends back as it came: "layers1:" and the base64url of {"f":format,"t":text,"s":signature,
// "e":encrypted}, or of {"c":signature} for the signature of the call that follows (Gemini's thoughtSignature).
const carryPrefix = "layers1:"

type carried struct {
	Format    string `json:"f,omitempty"`
	Text      string `json:"t,omitempty"`
	Signature string `json:"s,omitempty"`
	Encrypted string `json:"e,omitempty"`
	Call      string `json:"c,omitempty"`
}

func (c carried) String() string {
	raw, err := encode(c)
	if err != nil {
		return "" // strings always encode
	}
	return carryPrefix + base64.RawURLEncoding.EncodeToString(raw)
}

// carry is the encrypted_content of a thought; empty: it has nothing that its maker needs back.
func carry(t *chat.Thought) string {
	switch {
	case t.Signature == "" && t.Encrypted == "":
		return ""
	case t.Format == chat.FormatOpenAI:
		return t.Encrypted
	}
	return carried{Format: t.Format, Text: t.Text, Signature: t.Signature, Encrypted: t.Encrypted}.String()
}

// carriedIn reads an encrypted_content of ours; false: it is OpenAI's own, or broken.
func carriedIn(encrypted string) (carried, bool) {
	var c carried
	text, ours := strings.CutPrefix(encrypted, carryPrefix)
	if !ours {
		return c, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return c, err == nil && json.Unmarshal(raw, &c) == nil
}

// thoughtPrefix begins the ids of all reasoning items. Ours are "rs_ANSWER_NUMBER", OpenAI's have one underscore.
const thoughtPrefix = "rs_"

// ourThought says whether an item is a thought that an upstream of the protocol did not give: what carries another maker's,
// or a reference to it. References to OpenAI's own pass: it may have stored them.
func ourThought(item []byte) bool {
	text := func(name string) string {
		s, _ := jsonscan.String(jsonscan.Field(item, name))
		return s
	}
	switch text("type") {
	case "reasoning":
		return strings.HasPrefix(text("encrypted_content"), carryPrefix)
	case "item_reference":
		id := text("id")
		return strings.HasPrefix(id, thoughtPrefix) && strings.Count(id, "_") > 1
	}
	return false
}

// uncarry takes items that are ours out of the body that an upstream of the protocol gets, and names them.
func uncarry(r *chat.Request) error {
	if !bytes.Contains(r.Body, []byte(carryPrefix)) && !bytes.Contains(r.Body, []byte("item_reference")) {
		return nil
	}
	m, _ := r.Fields.Get("input")
	var kept [][]byte
	dropped := false
	for item := range jsonscan.Elements(r.Body[m.ValueStart:m.ValueEnd]) {
		if ourThought(item) {
			dropped = true
			continue
		}
		kept = append(kept, item)
	}
	if !dropped {
		return nil
	}
	list := append(append([]byte{'['}, bytes.Join(kept, []byte{','})...), ']')
	r.Body = jsonscan.Splice(r.Body, m.Replace(list))
	r.Dropped = append(r.Dropped, "input.reasoning")
	var err error
	r.Fields, err = jsonscan.Scan(r.Body)
	return err
}

// encode is chat.Encode.
func encode(v any) ([]byte, error) { return chat.Encode(v) }
