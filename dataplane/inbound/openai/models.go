package openai

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// ModelInfo is what a client may know of a model.
type ModelInfo struct {
	// ID is the public name.
	ID string
	// Created is in Unix seconds.
	Created int64
	// OwnedBy is the organisation that the list shows.
	OwnedBy string
	// ContextTokens and MaxOutputTokens are its limits; 0: not said.
	ContextTokens, MaxOutputTokens int64
	// Capabilities as api/v1alpha1.Capability spells them; nil: not said.
	Capabilities []string
	// Price is nil where nothing is charged.
	Price *snapshot.Price
	// Markup is what the caller's tier multiplies all of it by, as a decimal; empty: nothing.
	Markup string
}

// Info is what clients see of a model. Its owner is the part of the name before the slash, as people expect.
func Info(m *snapshot.Model) ModelInfo {
	owner, _, ok := strings.Cut(m.PublicName, "/")
	if !ok {
		owner = "layers"
	}
	return ModelInfo{
		ID: m.PublicName, Created: m.Created, OwnedBy: owner, ContextTokens: m.Limits.ContextTokens, MaxOutputTokens: m.Limits.MaxOutputTokens,
		Capabilities: m.Capabilities, Price: m.Price,
	}
}

// modelObject is OpenAI's model object, its members in OpenAI's order, with those that OpenRouter's list has behind them.
type modelObject struct {
	ID              string            `json:"id"`
	Object          string            `json:"object"`
	Created         int64             `json:"created"`
	OwnedBy         string            `json:"owned_by"`
	ContextLength   int64             `json:"context_length,omitempty"`
	MaxOutputTokens int64             `json:"max_output_tokens,omitempty"`
	Capabilities    []string          `json:"capabilities,omitempty"`
	Architecture    *modelModalities  `json:"architecture,omitempty"`
	Pricing         *unitPrices       `json:"pricing,omitempty"`
	PerMillion      *pricesPerMillion `json:"pricing_per_million,omitempty"`
}

// modelModalities are OpenRouter's.
type modelModalities struct {
	Input  []string `json:"input_modalities"`
	Output []string `json:"output_modalities"`
}

// unitPrices are OpenRouter's: strings, in USD a token, and a search. A cache without a price of its own is charged as the
// prompt.
type unitPrices struct {
	Prompt            string `json:"prompt"`
	Completion        string `json:"completion"`
	InputCacheRead    string `json:"input_cache_read"`
	InputCacheWrite   string `json:"input_cache_write"`
	InputCacheWrite1h string `json:"input_cache_write_1h,omitempty"`
	WebSearch         string `json:"web_search,omitempty"`
}

// pricesPerMillion are numbers, in USD a million tokens, and a thousand searches, as price lists have them.
type pricesPerMillion struct {
	Currency     string      `json:"currency"`
	Input        json.Number `json:"input"`
	Output       json.Number `json:"output"`
	CacheRead    json.Number `json:"cache_read"`
	CacheWrite   json.Number `json:"cache_write"`
	CacheWrite1h json.Number `json:"cache_write_1h,omitempty"`
	Searches     json.Number `json:"thousand_web_searches,omitempty"`
	// Markup multiplies all of these for the caller's tier.
	Markup json.Number `json:"markup,omitempty"`
	// Steps are the prices of the whole request where its input has more tokens than a number.
	Steps []stepPerMillion `json:"steps,omitempty"`
}

type stepPerMillion struct {
	AboveInput   int64       `json:"above_input_tokens"`
	Input        json.Number `json:"input"`
	Output       json.Number `json:"output"`
	CacheRead    json.Number `json:"cache_read"`
	CacheWrite   json.Number `json:"cache_write"`
	CacheWrite1h json.Number `json:"cache_write_1h,omitempty"`
}

type modelList struct {
	Object string        `json:"object"`
	Data   []modelObject `json:"data"`
}

func (m ModelInfo) object() modelObject {
	o := modelObject{
		ID: m.ID, Object: "model", Created: m.Created, OwnedBy: m.OwnedBy,
		ContextLength: m.ContextTokens, MaxOutputTokens: m.MaxOutputTokens, Capabilities: m.Capabilities,
	}
	if m.Capabilities != nil {
		o.Architecture = &modelModalities{Input: []string{"text"}, Output: []string{"text"}}
		if slices.Contains(m.Capabilities, needVision) {
			o.Architecture.Input = []string{"text", "image", "file"}
		}
	}
	if m.Price != nil {
		o.Pricing, o.PerMillion = unitsOf(m.Price), millionsOf(m.Price)
		o.PerMillion.Markup = json.Number(m.Markup)
	}
	return o
}

func unitsOf(p *snapshot.Price) *unitPrices {
	return &unitPrices{
		Prompt: perUnit(p.InputPerMillion), Completion: perUnit(p.OutputPerMillion),
		InputCacheRead: perUnit(orInput(p.CacheReadPerMillion, p)), InputCacheWrite: perUnit(orInput(p.CacheWritePerMillion, p)),
		InputCacheWrite1h: ifPriced(p.CacheWrite1hPerMillion, perUnit), WebSearch: ifPriced(p.SearchPerMillion, perUnit),
	}
}

func millionsOf(p *snapshot.Price) *pricesPerMillion {
	usd := func(nano int64) json.Number { return json.Number(pricing.FormatUSD(nano)) }
	out := &pricesPerMillion{
		Currency: "USD", Input: usd(p.InputPerMillion), Output: usd(p.OutputPerMillion),
		CacheRead: usd(orInput(p.CacheReadPerMillion, p)), CacheWrite: usd(orInput(p.CacheWritePerMillion, p)),
		CacheWrite1h: json.Number(ifPriced(p.CacheWrite1hPerMillion, pricing.FormatUSD)),
		Searches:     json.Number(ifPriced(p.SearchPerMillion, perThousand)),
	}
	for _, s := range p.Steps {
		base := &snapshot.Price{InputPerMillion: s.InputPerMillion}
		out.Steps = append(out.Steps, stepPerMillion{
			AboveInput: s.AboveInput, Input: usd(s.InputPerMillion), Output: usd(s.OutputPerMillion),
			CacheRead: usd(orInput(s.CacheReadPerMillion, base)), CacheWrite: usd(orInput(s.CacheWritePerMillion, base)),
			CacheWrite1h: json.Number(ifPriced(s.CacheWrite1hPerMillion, pricing.FormatUSD)),
		})
	}
	return out
}

func orInput(price *int64, p *snapshot.Price) int64 {
	if price == nil {
		return p.InputPerMillion
	}
	return *price
}

// ifPriced writes a price, where there is one: what has none cannot be asked for.
func ifPriced(price *int64, write func(int64) string) string {
	if price == nil {
		return ""
	}
	return write(*price)
}

// perUnit writes nano-USD a million units as USD a unit: 15 places.
func perUnit(nano int64) string { return shift(nano, 15) }

// perThousand writes nano-USD a million units as USD a thousand.
func perThousand(nano int64) string { return shift(nano, 12) }

// shift writes n with the point that many places to the left, as the shortest exact decimal. Prices are not negative.
func shift(n int64, places int) string {
	digits := strconv.FormatInt(n, 10)
	if short := places + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	at := len(digits) - places
	return strings.TrimSuffix(digits[:at]+"."+strings.TrimRight(digits[at:], "0"), ".")
}

// ModelObject is the body of GET /v1/models/{id}.
func ModelObject(m ModelInfo) []byte {
	// Strings, integers and decimals always encode.
	body, _ := encode(m.object())
	return body
}

// ModelList is the body of GET /v1/models, in the given order; an empty list is [], not null.
func ModelList(ms []ModelInfo) []byte {
	list := modelList{Object: "list", Data: make([]modelObject, 0, len(ms))}
	for _, m := range ms {
		list.Data = append(list.Data, m.object())
	}
	body, _ := encode(list)
	return body
}
