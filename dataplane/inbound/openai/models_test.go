package openai

import (
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestModels(t *testing.T) {
	m := ModelInfo{ID: "openai/gpt-5", Created: 7, OwnedBy: "layers"}
	const object = `{"id":"openai/gpt-5","object":"model","created":7,"owned_by":"layers"}`
	if got := string(ModelObject(m)); got != object {
		t.Errorf("got %s", got)
	}
	if got, want := string(ModelList([]ModelInfo{m, m})), `{"object":"list","data":[`+object+`,`+object+`]}`; got != want {
		t.Errorf("got %s", got)
	}
	if got := string(ModelList(nil)); got != `{"object":"list","data":[]}` {
		t.Errorf("got %s", got)
	}
}

func TestModelsSayWhatTheyCostAndCan(t *testing.T) {
	read, hour, search := int64(300_000_000), int64(6_000_000_000), int64(10_000_000_000_000)
	m := snapshot.Model{
		PublicName: "anthropic/claude", Created: 7, Capabilities: []string{"Text", "Vision"}, Limits: snapshot.Limits{ContextTokens: 200_000, MaxOutputTokens: 64_000},
		Price: &snapshot.Price{Version: "v", InputPerMillion: 3_000_000_000, OutputPerMillion: 15_500_000_000, CacheReadPerMillion: &read, CacheWrite1hPerMillion: &hour, SearchPerMillion: &search},
	}
	same(t, ModelObject(Info(&m)), `{"id":"anthropic/claude","object":"model","created":7,"owned_by":"anthropic","context_length":200000,"max_output_tokens":64000,"capabilities":["Text","Vision"],
		"architecture":{"input_modalities":["text","image","file"],"output_modalities":["text"]},
		"pricing":{"prompt":"0.000003","completion":"0.0000155","input_cache_read":"0.0000003","input_cache_write":"0.000003","input_cache_write_1h":"0.000006","web_search":"0.01"},
		"pricing_per_million":{"currency":"USD","input":3,"output":15.5,"cache_read":0.3,"cache_write":3,"cache_write_1h":6,"thousand_web_searches":10}}`)
	same(t, ModelObject(Info(&snapshot.Model{PublicName: "m", Capabilities: []string{"Text"}, Price: &snapshot.Price{}})), `{"id":"m","object":"model","created":0,"owned_by":"layers","capabilities":["Text"],
		"architecture":{"input_modalities":["text"],"output_modalities":["text"]},
		"pricing":{"prompt":"0","completion":"0","input_cache_read":"0","input_cache_write":"0"},
		"pricing_per_million":{"currency":"USD","input":0,"output":0,"cache_read":0,"cache_write":0}}`)
	same(t, ModelObject(Info(&snapshot.Model{PublicName: "demo"})), `{"id":"demo","object":"model","created":0,"owned_by":"layers"}`)
}

// A price is the same number, whatever it is counted in.
func TestPricesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, places := rapid.Int64Min(0).Draw(t, "nano"), rapid.SampledFrom([]int{12, 15}).Draw(t, "places")
		got, ok := new(big.Rat).SetString(shift(n, places))
		want := new(big.Rat).SetFrac(big.NewInt(n), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil))
		if !ok || got.Cmp(want) != 0 {
			t.Fatal(shift(n, places))
		}
	})
	if d := cmp.Diff([]string{"0", "0.000000000000001", "1", "10", "1.5"}, []string{perUnit(0), perUnit(1), perUnit(1e15), perUnit(1e16), perUnit(15e14)}); d != "" {
		t.Error(d)
	}
}
