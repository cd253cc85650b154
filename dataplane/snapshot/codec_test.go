package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *Snapshot {
	cached := int64(100_000_000)
	return &Snapshot{
		Schema: SchemaVersion, Sequence: 7, Gateway: "ai/main", GatewayUID: "uid", AckToken: "token", Mode: Live, CreditsPerDollar: 100,
		Providers: []Provider{{ID: "ai/openai", Type: OpenAI, BaseURL: "https://api.openai.com/v1", Credential: "sk", Headers: []Header{{Name: "X-A", Value: "b"}}}},
		Models: []Model{{
			Object: "ai/mini", PublicName: "openai/mini", Aliases: []string{"mini"}, Capabilities: []string{"Text", "Streaming"}, Created: 1,
			Backends: []Backend{{Name: "direct", Provider: "ai/openai", Model: "mini-1", Weight: 1}},
			Price:    &Price{Version: "v", InputPerMillion: 1_000_000_000, OutputPerMillion: 2_000_000_000, CacheReadPerMillion: &cached},
			Limits:   Limits{ContextTokens: 1000, MaxOutputTokens: 100},
			Times:    Timeout{ConnectSeconds: 1, FirstEventSeconds: 2, IdleSeconds: 3, TotalSeconds: 4},
		}},
		Tiers: []Tier{{Name: "ai/free", Models: []string{"mini"}, Limits: []RateLimit{{Unit: RequestsPerMinute, Value: 10, Burst: 10}}, MaxBodyBytes: 1 << 20}},
		Policies: []CreditPolicy{{
			Name: "ai/prepaid", FirstGrant: 5, GrantExpireDays: 30, MinOutputTokens: 256, DefaultOutputTokens: 1024,
			OrphanCharge: "Hold", Overdraft: 7, Shadow: true,
		}},
		DefaultTier: "ai/free", DefaultPolicy: "ai/prepaid", RejectWithoutRedis: true,
		Objects: []Object{{Kind: "Model", Namespace: "ai", Name: "mini", UID: "u", Generation: 3}},
	}
}

func TestEncodeDecode(t *testing.T) {
	want := sample()
	b, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	if got.Hash == "" || got.Hash != ContentHash(got) {
		t.Errorf("hash %q, content %q", got.Hash, ContentHash(got))
	}
	again, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, again) {
		t.Error("the same snapshot gave other bytes")
	}
}

func TestContentHashIgnoresSequence(t *testing.T) {
	a, b := sample(), sample()
	b.Sequence, b.Hash = 99, "other"
	if ContentHash(a) != ContentHash(b) {
		t.Error("sequence or hash is in the hash")
	}
	b.Models[0].Price.InputPerMillion++
	if ContentHash(a) == ContentHash(b) {
		t.Error("a price is not in the hash")
	}
}

// rewrite encodes the sample, lets change edit the plain JSON, and compresses it again.
func rewrite(t *testing.T, change func(plain string) string) []byte {
	t.Helper()
	b, err := Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := inflate(b, MaxDecodedBytes)
	if err != nil {
		t.Fatal(err)
	}
	out, err := deflate([]byte(change(string(plain))))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDecodeRefuses(t *testing.T) {
	cases := map[string]struct {
		in   []byte
		want error
	}{
		"newer schema": {rewrite(t, func(s string) string { return strings.Replace(s, `{"schema":1`, `{"schema":2`, 1) }), ErrSchema},
		"no schema":    {rewrite(t, func(s string) string { return strings.Replace(s, `{"schema":1,`, `{`, 1) }), ErrSchema},
		"changed content": {rewrite(t, func(s string) string {
			return strings.Replace(s, `"inputPerMillion":1000000000`, `"inputPerMillion":1`, 1)
		}), ErrHash},
		"no content": {rewrite(t, func(string) string { return `{"schema":1,"hash":""}` }), ErrHash},
		"truncated":  {rewrite(t, func(s string) string { return s })[:40], io.ErrUnexpectedEOF},
		"not gzip":   {[]byte("{}"), nil},
		"not json":   {rewrite(t, func(string) string { return "x" }), nil},
		"empty":      {nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(c.in)
			if err == nil {
				t.Fatal("decoded")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// What is small may inflate to much: only so much of it is ever held.
func TestInflateIsBounded(t *testing.T) {
	b, err := deflate(bytes.Repeat([]byte(" "), 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := inflate(b, 1<<20); err != nil || len(got) != 1<<20 {
		t.Errorf("within the limit: %d bytes, %v", len(got), err)
	}
	if _, err := inflate(b, 1<<20-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
}

// A newer writer of the same schema may add fields that this reader does not know: the hash still holds.
func TestDecodeIgnoresUnknownFields(t *testing.T) {
	content := strings.Replace(mustContent(t, sample()), `{"schema"`, `{"later":{"a":[1]},"schema"`, 1)
	plain, err := json.Marshal(envelope{Schema: 1, Sequence: 8, Hash: hashOf([]byte(content)), Content: json.RawMessage(content)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := deflate([]byte(strings.Replace(string(plain), `{"schema"`, `{"laterToo":1,"schema"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Sequence != 8 || got.Models[0].PublicName != "openai/mini" {
		t.Errorf("got %+v", got)
	}
}

// A writer from before a field existed says nothing of it: what it wrote decodes, serves, and means what it meant.
func TestDecodeOfAnEarlierWriter(t *testing.T) {
	content := mustContent(t, sample())
	for _, later := range []string{
		`,"grantExpireDays":30`, `,"minOutputTokens":256`, `,"defaultOutputTokens":1024`, `,"orphanCharge":"Hold"`, `,"overdraft":7`, `,"shadow":true`,
		`,"rejectWithoutRedis":true`,
	} {
		before := content
		if content = strings.Replace(content, later, "", 1); content == before {
			t.Fatalf("%s is not written", later)
		}
	}
	plain, err := json.Marshal(envelope{Schema: 1, Sequence: 8, Hash: hashOf([]byte(content)), Content: json.RawMessage(content)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := deflate(plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := Validate(got); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]CreditPolicy{{Name: "ai/prepaid", FirstGrant: 5}}, got.Policies); diff != "" || got.RejectWithoutRedis {
		t.Errorf("policies %s, reject %v", diff, got.RejectWithoutRedis)
	}
}

func mustContent(t *testing.T, s *Snapshot) string {
	t.Helper()
	b, err := contentOf(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzDecode(f *testing.F) {
	b, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := Decode(in)
		if err != nil {
			return
		}
		again, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
	})
}
