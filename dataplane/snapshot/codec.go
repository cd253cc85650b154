package snapshot

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxDecodedBytes bounds what Decode inflates. A Secret holds 1 MiB, and JSON rarely deflates better than a hundredfold.
const MaxDecodedBytes = 256 << 20

// Errors of Decode, told apart with errors.Is.
var (
	// ErrTooLarge: the snapshot inflates to more than MaxDecodedBytes.
	ErrTooLarge = errors.New("snapshot is too large")
	// ErrSchema: this build cannot read that schema version.
	ErrSchema = errors.New("snapshot schema is not supported")
	// ErrHash: the content is not what was written.
	ErrHash = errors.New("snapshot hash does not match its content")
)

// envelope is what travels. The hash covers Content as it was written, byte for byte, so that checking it never depends
// on which fields the reader knows.
type envelope struct {
	Schema   int             `json:"schema"`
	Sequence int64           `json:"sequence"`
	Hash     string          `json:"hash"`
	Content  json.RawMessage `json:"content"`
}

// ContentHash is the lower-case hex SHA-256 of everything in s but Sequence and Hash: two snapshots that serve the same
// have the same hash.
func ContentHash(s *Snapshot) string {
	content, err := contentOf(s)
	if err != nil {
		return "" // not reachable: strings, integers and lists of them always marshal
	}
	return hashOf(content)
}

// Encode writes s as gzip JSON, the same bytes for the same snapshot, and fills s.Schema and s.Hash.
func Encode(s *Snapshot) ([]byte, error) {
	s.Schema = SchemaVersion
	content, err := contentOf(s)
	if err != nil {
		return nil, fmt.Errorf("marshalling snapshot: %w", err)
	}
	s.Hash = hashOf(content)
	plain, err := json.Marshal(envelope{Schema: s.Schema, Sequence: s.Sequence, Hash: s.Hash, Content: content})
	if err != nil {
		return nil, fmt.Errorf("marshalling snapshot envelope: %w", err)
	}
	return deflate(plain)
}

// Decode reads what Encode of this build or of the one before it wrote. It checks the size, the schema version and the
// hash, ignores unknown fields, and does not judge the content (see Validate).
func Decode(b []byte) (*Snapshot, error) {
	plain, err := inflate(b, MaxDecodedBytes)
	if err != nil {
		return nil, err
	}
	var e envelope
	if err := json.Unmarshal(plain, &e); err != nil {
		return nil, fmt.Errorf("reading snapshot envelope: %w", err)
	}
	if e.Schema > SchemaVersion || e.Schema < max(SchemaVersion-1, 1) {
		return nil, fmt.Errorf("%w: version %d, this build reads up to %d", ErrSchema, e.Schema, SchemaVersion)
	}
	if hashOf(e.Content) != e.Hash {
		return nil, ErrHash
	}
	s := &Snapshot{}
	if err := json.Unmarshal(e.Content, s); err != nil {
		return nil, fmt.Errorf("reading snapshot content: %w", err)
	}
	s.Schema, s.Sequence, s.Hash = e.Schema, e.Sequence, e.Hash
	return s, nil
}

// contentOf marshals what the hash covers.
func contentOf(s *Snapshot) ([]byte, error) {
	content := *s
	content.Schema, content.Sequence, content.Hash = SchemaVersion, 0, ""
	return json.Marshal(&content)
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func deflate(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	// The header carries neither name nor time, so that equal snapshots are equal bytes.
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing snapshot: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compressing snapshot: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing snapshot: %w", err)
	}
	return out.Bytes(), nil
}

func inflate(b []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decompressing snapshot: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("decompressing snapshot: %w", err)
	}
	if int64(len(plain)) > limit {
		return nil, ErrTooLarge
	}
	return plain, nil
}
