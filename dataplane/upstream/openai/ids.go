package openai

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// The ids of tool calls that the gateway gave out in translated answers may carry what another provider's model signed, for
// clients that keep nothing else: <id>~<base64url of deflate of a JSON object>. Where the conversation goes on at an upstream
// that gets the client's bytes, the ids go without it: it is not for that upstream's models, and OpenAI takes short ids only.

const (
	carryMark = '~'
	// maxCarried bounds what an id unpacks to, in bytes.
	maxCarried = 64 << 10
)

// bareIDs gives a call's id, in its answer and with its result, without what it carries; nil: it carries nothing.
func bareIDs(name string, value []byte) []byte {
	if name != "id" && name != "tool_call_id" {
		return nil
	}
	id, ok := jsonscan.String(value)
	if !ok {
		return nil
	}
	if bare := bareID(id); bare != id {
		return jsonscan.Quote(bare)
	}
	return nil
}

// bareID is an id without what it carries.
func bareID(id string) string {
	at := strings.LastIndexByte(id, carryMark)
	if at <= 0 {
		return id
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(id[at+1:])
	if err != nil || len(packed) == 0 {
		return id
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxCarried+1))
	if err != nil || len(text) > maxCarried || len(text) == 0 || text[0] != '{' || !json.Valid(text) {
		return id
	}
	return id[:at]
}
