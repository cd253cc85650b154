package ledger_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// again is a settlement after it was written and read.
func again(t rapid.TB, e ledger.Settlement) ledger.Settlement {
	t.Helper()
	record, err := ledger.EncodeRecord(e)
	if err != nil || len(record) > ledger.MaxRecord {
		t.Fatalf("%d bytes, %v", len(record), err)
	}
	got, err := ledger.DecodeRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRecordFitsIntoAHold(t *testing.T) {
	if ledger.MaxRecord != admit.MaxRecord {
		t.Errorf("a record has %d bytes, a hold keeps %d", ledger.MaxRecord, admit.MaxRecord)
	}
}

// bill is a settlement of usage at a price with everything in it.
func bill(t testing.TB, quantity, price pricing.Nano) ledger.Settlement {
	t.Helper()
	u := pricing.Usage{Input: quantity, CacheRead: quantity, CacheWrite: quantity, CacheWrite1h: quantity, Output: quantity, Reasoning: quantity, Searches: quantity}
	p := pricing.Price{Version: "0123456789abcdef", Input: price, Output: price, CacheWrite1h: &price, Search: &price, Markup: pricing.Ratio{Num: 999_999_999_999, Den: 1_000_000_000}}
	cost, lines, err := pricing.Cost(u, p)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.Must(uuid.NewV7()).String()
	return ledger.Settlement{
		RequestID: "req_" + id, Account: "production/acme", KeyID: "key_" + id, Model: "anthropic/claude-sonnet-4-5", Provider: "layers-system/anthropic", Backend: "primary",
		UpstreamID: "msg_" + strings.ReplaceAll(id, "-", "")[:24], Usage: u, Lines: lines, PriceVersion: p.Version, ProviderPrice: "fedcba9876543210",
		Cost: cost, Charged: cost, ProviderCost: cost, Held: cost, Evidence: ledger.EvidenceEstimated, Disconnect: ledger.DisconnectDrained,
		Status: 200, Stream: true, StartedAt: 1_800_000_000_000_000, FinishedAt: 1_800_000_060_000_000,
	}
}

// TestRecordOfAnOrdinaryRequestIsSmall: a gateway keeps one for each request in flight.
func TestRecordOfAnOrdinaryRequestIsSmall(t *testing.T) {
	e := bill(t, 12_345, 3_000_000_000)
	record, err := ledger.EncodeRecord(e)
	if err != nil || len(record) > 350 {
		t.Errorf("%d bytes, %v", len(record), err)
	}
	if diff := cmp.Diff(e, again(t, e)); diff != "" {
		t.Error(diff)
	}
}

// name is one of so many bytes that says as much as a name can: letters at random.
func name(length int, letters string) string {
	b := make([]byte, length)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

// TestLargestRecordIsLossless: names as long as objects may have them, of letters at random, amounts and quantities as large
// as they can be paid, an upstream's id of bytes at random. Everything is there again, its lines, too.
func TestLargestRecordIsLossless(t *testing.T) {
	const lower, public = "abcdefghijklmnopqrstuvwxyz0123456789-.", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@/-"
	for range 200 {
		e := bill(t, 1_300_000, 1_000_000_000_000)
		e.Account, e.Provider = name(63, lower)+"/"+name(63, lower), name(63, lower)+"/"+name(253, lower)
		e.Model, e.Backend = name(128, public), name(63, lower)
		e.UpstreamID = name(200, public)
		if diff := cmp.Diff(e, again(t, e)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// anySettlement is one with any content, most of which no gateway makes.
func anySettlement() *rapid.Generator[ledger.Settlement] {
	text := rapid.OneOf(rapid.StringN(0, 8, 40), rapid.SampledFrom([]string{"", "reported", "None", "cancelled", "deadbeef", "DEADBEEF", "req_", "key_1",
		"req_0196f6a0-0000-7000-8000-0123456789ab", "req_0196F6A0-0000-7000-8000-0123456789AB", "key_0196f6a0-0000-7000-8000-0123456789ab", "\xff\x00"}))
	number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1000), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -1}))
	line := rapid.Custom(func(t *rapid.T) pricing.Line {
		return pricing.Line{Kind: text.Draw(t, "kind"), Quantity: number.Draw(t, "quantity"), UnitPrice: number.Draw(t, "price"), Amount: number.Draw(t, "amount"), Markup: text.Draw(t, "markup")}
	})
	return rapid.Custom(func(t *rapid.T) ledger.Settlement {
		s, n := func() string { return text.Draw(t, "text") }, func() int64 { return number.Draw(t, "number") }
		e := ledger.Settlement{
			RequestID: s(), Account: s(), KeyID: s(), Model: s(), Provider: s(), Backend: s(), UpstreamID: s(), PriceVersion: s(), ProviderPrice: s(),
			Usage: pricing.Usage{Input: n(), CacheRead: n(), CacheWrite: n(), CacheWrite1h: n(), Output: n(), Reasoning: n(), Searches: n()},
			Cost:  n(), Charged: n(), ProviderCost: n(), Held: n(), Evidence: ledger.Evidence(s()), OrphanCharge: s(), Disconnect: s(),
			Status: int(n()), Stream: rapid.Bool().Draw(t, "stream"), StartedAt: n(), FinishedAt: n(),
		}
		if rapid.Bool().Draw(t, "lines") {
			e.Lines = rapid.SliceOfN(line, 0, 4).Draw(t, "of them")
		}
		return e
	})
}

func TestRecordIsLossless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anySettlement().Draw(t, "settlement")
		if diff := cmp.Diff(e, again(t, e)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRecordIsNeverTooLong: whatever the names are, what is charged to whom is in it; what has no room is left out in order.
func TestRecordIsNeverTooLong(t *testing.T) {
	long := func(length int) string {
		return name(length, "\x80\x81\x92\xa3\xb4\xc5\xd6\xe7\xf8\xf9abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQ")
	}
	rapid.Check(t, func(t *rapid.T) {
		length := func(most int) int { return rapid.IntRange(0, most).Draw(t, "length") }
		e := ledger.Settlement{
			RequestID: long(length(200)), Account: long(length(320)), KeyID: long(length(60)), Model: long(length(2000)), Provider: long(length(2000)),
			Backend: long(length(2000)), UpstreamID: long(length(2000)), PriceVersion: long(length(200)), Cost: 7, Charged: 7, Held: 9, Evidence: ledger.EvidenceReported,
			Lines: make([]pricing.Line, length(300)),
		}
		for i := range e.Lines {
			e.Lines[i] = pricing.Line{Kind: long(8), Quantity: rand.Int64(), Amount: rand.Int64()}
		}
		got := again(t, e)
		wants := []ledger.Settlement{e}
		for _, drop := range []func(*ledger.Settlement){
			func(e *ledger.Settlement) { e.UpstreamID = "" }, func(e *ledger.Settlement) { e.Backend = "" },
			func(e *ledger.Settlement) { e.Provider, e.Model = "", "" }, func(e *ledger.Settlement) { e.Lines = nil },
		} {
			drop(&e)
			wants = append(wants, e)
		}
		for _, want := range wants {
			if cmp.Equal(want, got) {
				return
			}
		}
		t.Errorf("%+v", got)
	})
	if _, err := ledger.EncodeRecord(ledger.Settlement{RequestID: "req_1", Account: long(3000)}); err == nil {
		t.Error("an account of 3000 bytes fits")
	}
}

func TestWhatIsNoRecord(t *testing.T) {
	record, err := ledger.EncodeRecord(bill(t, 12_345, 3_000_000_000))
	if err != nil {
		t.Fatal(err)
	}
	for i := range record {
		if e, err := ledger.DecodeRecord(record[:i]); err == nil {
			t.Errorf("%d bytes of it are %+v", i, e)
		}
	}
	bomb := append([]byte{2}, bytes.Repeat([]byte{0xff}, 900)...)
	for what, b := range map[string][]byte{
		"one byte more": append(bytes.Clone(record), 0), "another form": append([]byte{9}, record[1:]...), "too long": make([]byte, 1025), "no deflate": bomb,
	} {
		if e, err := ledger.DecodeRecord(b); err == nil {
			t.Errorf("%s is %+v", what, e)
		}
	}
}

// FuzzDecodeRecord: no bytes end the process, and what is read is written as it was.
func FuzzDecodeRecord(f *testing.F) {
	plain, err := ledger.EncodeRecord(bill(f, 12_345, 3_000_000_000))
	if err != nil {
		f.Fatal(err)
	}
	long := bill(f, 1_300_000, 1_000_000_000_000)
	long.Model, long.Provider = strings.Repeat("m", 900), strings.Repeat("p", 900)
	deflated, err := ledger.EncodeRecord(long)
	if err != nil || deflated[0] == plain[0] {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(deflated)
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := ledger.DecodeRecord(record)
		if err != nil {
			return
		}
		back, err := ledger.EncodeRecord(e)
		if err != nil || len(back) > ledger.MaxRecord {
			return // it was deflated better, or says more than a gateway's
		}
		if got, err := ledger.DecodeRecord(back); err != nil || !lossless(e, got) {
			t.Errorf("%+v became %+v, %v", e, got, err)
		}
	})
}

// lossless says that a settlement is there again, but for what was left out.
func lossless(e, got ledger.Settlement) bool {
	return got.RequestID == e.RequestID && got.Account == e.Account && got.KeyID == e.KeyID && got.Charged == e.Charged && got.Usage == e.Usage && got.PriceVersion == e.PriceVersion
}
