// Package keys knows what an API key looks like and finds its row by digest, through caches, so that a known key costs no
// store and garbage costs next to nothing. The plain key is never stored, logged or put into an error.
package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// Parts of a key. A key that Layers makes is LivePrefix and 43 characters of base62, the last six of which are the CRC-32
// (IEEE) of the 37 before them. A declared digest may belong to any LivePrefix and 16 to 128 of [A-Za-z0-9_-], also to 43
// characters of base62 with another end: the check only says which unknown keys are garbage, never that a key is refused.
const (
	LivePrefix     = "lyr_live_"
	ReservedPrefix = "lyr_test_"

	randomChars  = 37
	checkChars   = 6
	minDeclared  = 16
	maxDeclared  = 128
	prefixLength = 6
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Errors about a key's form; none of them contains the key.
var (
	// ErrMalformed: no key looks so.
	ErrMalformed = errors.New("malformed key: a key is " + LivePrefix + " and 16 to 128 of A-Z, a-z, 0-9, _ and -")
	// ErrReserved: the form is kept for test keys, which there are none of yet.
	ErrReserved = errors.New("keys that begin with " + ReservedPrefix + " are reserved: use a key that begins with " + LivePrefix)
)

// Generate makes a key of 220 random bits and a check.
func Generate(random io.Reader) (string, error) {
	body := make([]byte, 0, randomChars)
	buf := make([]byte, randomChars)
	for len(body) < randomChars {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		for _, b := range buf {
			// 248 is 4 x 62: a larger byte would make some characters likelier than others.
			if b < 248 && len(body) < randomChars {
				body = append(body, base62[b%62])
			}
		}
	}
	return LivePrefix + string(body) + check(string(body)), nil
}

// check is the CRC-32 of s in six characters of base62.
func check(s string) string {
	var out [checkChars]byte
	sum := crc32.ChecksumIEEE([]byte(s))
	for i := checkChars - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// checked says whether a key ends as one that Layers made.
func checked(plain string) bool {
	body, ok := strings.CutPrefix(plain, LivePrefix)
	if !ok || len(body) != randomChars+checkChars || strings.Trim(body, base62) != "" {
		return false
	}
	return check(body[:randomChars]) == body[randomChars:]
}

// Digest is the SHA-256 of a plain key in lower-case hex: what is stored and looked up.
func Digest(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}

// Prefix is the beginning of a plain key by which people tell keys apart: LivePrefix and six characters, fewer where that
// would be more than a third of what is secret; empty for what is no key.
func Prefix(plain string) string {
	body, ok := strings.CutPrefix(plain, LivePrefix)
	if !ok {
		return ""
	}
	return LivePrefix + body[:min(prefixLength, len(body)/3)]
}

// Parse answers whether a key is well formed: ErrMalformed or ErrReserved.
func Parse(plain string) error {
	body, err := body(plain)
	if err != nil {
		return err
	}
	if len(body) < minDeclared || len(body) > maxDeclared || strings.IndexFunc(body, outside) >= 0 {
		return ErrMalformed
	}
	return nil
}

// ParseDemo is Parse for demo mode, which takes LivePrefix and anything more.
func ParseDemo(plain string) error {
	body, err := body(plain)
	if err == nil && body == "" {
		return ErrMalformed
	}
	return err
}

func body(plain string) (string, error) {
	if strings.HasPrefix(plain, ReservedPrefix) {
		return "", ErrReserved
	}
	body, ok := strings.CutPrefix(plain, LivePrefix)
	if !ok {
		return "", ErrMalformed
	}
	return body, nil
}

// outside says whether a character may not be in a key.
func outside(r rune) bool {
	return r != '_' && r != '-' && (r > 127 || !strings.ContainsRune(base62, r))
}
