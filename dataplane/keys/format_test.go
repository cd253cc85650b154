package keys

import (
	"bytes"
	"crypto/rand"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const declared = LivePrefix + "0123456789abcdef"

func TestGenerate(t *testing.T) {
	seen := map[string]bool{}
	count := map[rune]int{}
	for range 2000 {
		k, err := Generate(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := Parse(k); err != nil || !checked(k) || len(k) != len(LivePrefix)+43 || seen[k] {
			t.Fatalf("generated %q: %v", k, err)
		}
		seen[k] = true
		for _, c := range k[len(LivePrefix) : len(LivePrefix)+randomChars] {
			count[c]++
		}
	}
	for _, c := range base62 { // 1194 each, give or take 35
		if n := count[c]; n < 900 || n > 1500 {
			t.Errorf("%c came %d times of %d", c, n, 2000*randomChars)
		}
	}
}

func TestGenerateIsItsBytes(t *testing.T) {
	// 255 is skipped; 61 and 61+62 are the same character.
	src := append(bytes.Repeat([]byte{255}, randomChars), bytes.Repeat([]byte{61, 123}, randomChars)...)
	k, err := Generate(bytes.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("z", randomChars)
	if diff := cmp.Diff(LivePrefix+body+bigCheck(body), k); diff != "" {
		t.Error(diff)
	}
	if _, err := Generate(bytes.NewReader(src[:randomChars+3])); err == nil {
		t.Error("no error where there are too few random bytes")
	}
}

// bigCheck computes the check in another way.
func bigCheck(s string) string {
	text := big.NewInt(int64(crc32.ChecksumIEEE([]byte(s)))).Text(62) // 0-9a-zA-Z
	swapped := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, text)
	return strings.Repeat("0", checkChars-len(swapped)) + swapped
}

func TestCheckProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`[0-9A-Za-z]{37}`).Draw(t, "body")
		if diff := cmp.Diff(bigCheck(body), check(body)); diff != "" {
			t.Fatal(diff)
		}
		k := []byte(LivePrefix + body + check(body))
		at := rapid.IntRange(len(LivePrefix), len(k)-1).Draw(t, "at")
		typo := rapid.SampledFrom([]byte(base62)).Draw(t, "typo")
		same := k[at] == typo
		if k[at] = typo; checked(string(k)) != same {
			t.Fatalf("a typo at %d: checked %v", at, !same)
		}
	})
}

func TestParse(t *testing.T) {
	for plain, want := range map[string][2]error{ // Parse, ParseDemo
		declared:                                      {},
		LivePrefix + strings.Repeat("x", 128):         {},
		LivePrefix + strings.Repeat("A", 43):          {}, // declared, with any end
		LivePrefix + "_-_-_-_-_-_-_-_-":               {},
		LivePrefix + strings.Repeat("x", 129):         {ErrMalformed},
		LivePrefix + strings.Repeat("x", 15):          {ErrMalformed},
		LivePrefix + "0123456789abcde ":               {ErrMalformed},
		LivePrefix + "0123456789abcdeé":               {ErrMalformed},
		LivePrefix + "0123456789abcde\n":              {ErrMalformed},
		LivePrefix + "0123456789abcde\xff":            {ErrMalformed},
		LivePrefix + "x":                              {ErrMalformed},
		LivePrefix:                                    {ErrMalformed, ErrMalformed},
		"":                                            {ErrMalformed, ErrMalformed},
		"sk-0123456789abcdef":                         {ErrMalformed, ErrMalformed},
		"LYR_LIVE_0123456789abcdef":                   {ErrMalformed, ErrMalformed},
		" " + declared:                                {ErrMalformed, ErrMalformed},
		"lyr_test_0123456789abcdef":                   {ErrReserved, ErrReserved},
		"lyr_test_":                                   {ErrReserved, ErrReserved},
		ReservedPrefix + declared[len(LivePrefix)-1:]: {ErrReserved, ErrReserved},
	} {
		for i, err := range []error{Parse(plain), ParseDemo(plain)} {
			if !errors.Is(err, want[i]) || (want[i] == nil) != (err == nil) {
				t.Errorf("%q, demo %v: %v, want %v", plain, i == 1, err, want[i])
			}
		}
	}
}

func TestDigestAndPrefix(t *testing.T) {
	// printf %s lyr_live_0123456789abcdef | sha256sum
	if diff := cmp.Diff("49f53ecfe1ab648024851581c8781172a61e0dedbb8260e6e60187226dabeeac", Digest(declared)); diff != "" {
		t.Error(diff)
	}
	for plain, want := range map[string]string{
		LivePrefix + strings.Repeat("x", 43): LivePrefix + "xxxxxx",
		declared:                             LivePrefix + "01234",
		LivePrefix + "xx":                    LivePrefix,
		"sk-secret":                          "",
	} {
		if diff := cmp.Diff(want, Prefix(plain)); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(declared)
	f.Add("lyr_test_x")
	f.Fuzz(func(t *testing.T, plain string) {
		if Parse(plain) == nil && (ParseDemo(plain) != nil || len(plain) > len(LivePrefix)+maxDeclared || strings.ContainsAny(plain, " \r\n\x00")) {
			t.Errorf("%q is a key", plain)
		}
		if p := Prefix(plain); !strings.HasPrefix(plain, p) || len(p) > len(LivePrefix)+prefixLength {
			t.Errorf("prefix %q of %q", p, plain)
		}
		if checked(plain) && Parse(plain) != nil {
			t.Errorf("%q has a good check and is no key", plain)
		}
	})
}
