package openai

import (
	"encoding/json"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// number reads a number within bounds and keeps its text.
func number(param string, least, most float64, to func(*chat.Prompt) *json.Number) func(*decoder, []byte) error {
	return func(d *decoder, raw []byte) error {
		n, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return refuse(param, "invalid_type", "Invalid type for '%s': expected a decimal, but got %s instead.", param, kindOf(raw))
		}
		if n < least {
			return refuse(param, "decimal_below_min_value", "Invalid '%s': decimal below minimum value. Expected a value >= %g, but got %s instead.", param, least, clip(string(raw)))
		}
		if n > most {
			return refuse(param, "decimal_above_max_value", "Invalid '%s': decimal above maximum value. Expected a value <= %g, but got %s instead.", param, most, clip(string(raw)))
		}
		*to(&d.prompt) = json.Number(raw)
		return nil
	}
}

// whole reads an integer of any sign.
func whole(param string, to func(*chat.Prompt) **int64) func(*decoder, []byte) error {
	return func(d *decoder, raw []byte) error {
		n, ok := jsonscan.Int(raw)
		if !ok {
			return refuse(param, "invalid_type", "Invalid type for '%s': expected an integer.", param)
		}
		*to(&d.prompt) = &n
		return nil
	}
}

// limit keeps the first of the limits; Parse has judged them.
func (d *decoder) limit(raw []byte) error {
	if d.prompt.MaxOutputTokens == 0 {
		d.prompt.MaxOutputTokens, _ = jsonscan.Int(raw)
	}
	return nil
}

func (d *decoder) choices(raw []byte) error {
	n, _ := jsonscan.Int(raw)
	d.prompt.Choices = max(1, n)
	return nil
}

// stop is one sequence or an array of them.
func (d *decoder) stop(raw []byte) error {
	if one, ok := jsonscan.String(raw); ok {
		d.prompt.Stop = notEmpty(one)
		return nil
	}
	if raw[0] != '[' {
		return wrongType("stop", "a string or an array of strings", raw)
	}
	i := 0
	for element := range jsonscan.Elements(raw) {
		s, ok := jsonscan.String(element)
		if !ok {
			return wrongType(at("stop", i), "a string", element)
		}
		d.prompt.Stop = append(d.prompt.Stop, notEmpty(s)...)
		i++
	}
	return nil
}

func notEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func (d *decoder) logprobs(raw []byte) error {
	on, ok := jsonscan.Bool(raw)
	if !ok {
		return wrongType("logprobs", "a boolean", raw)
	}
	d.prompt.Logprobs = on
	return nil
}

// maxTopLogprobs is OpenAI's.
const maxTopLogprobs = 20

func (d *decoder) topLogprobs(raw []byte) error {
	n, err := integer("top_logprobs", raw, 0)
	if err != nil {
		return err
	}
	if n > maxTopLogprobs {
		return refuse("top_logprobs", "integer_above_max_value", "Invalid 'top_logprobs': integer above maximum value. Expected a value <= %d, but got %d instead.", maxTopLogprobs, n)
	}
	if n > 0 && !d.prompt.Logprobs {
		return refuse("top_logprobs", "invalid_value", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
	}
	d.prompt.TopLogprobs = n
	return nil
}

func (d *decoder) logitBias(raw []byte) error {
	if raw[0] != '{' {
		return wrongType("logit_bias", "an object", raw)
	}
	for range jsonscan.Members(raw) {
		d.prompt.LogitBias = raw
	}
	return nil
}

// user keeps the first of user and safety_identifier, its successor.
func (d *decoder) user(raw []byte) error {
	user, ok := jsonscan.String(raw)
	if !ok {
		return wrongType("user", "a string", raw)
	}
	if d.prompt.User == "" {
		d.prompt.User = user
	}
	return nil
}

func (d *decoder) verbosity(raw []byte) error {
	v, ok := jsonscan.String(raw)
	if !ok {
		return wrongType("verbosity", "a string", raw)
	}
	switch v {
	case "low", "medium", "high":
		d.prompt.Verbosity = v
		return nil
	}
	return refuse("verbosity", "invalid_value", "Invalid value: '%s'. Supported values are: 'low', 'medium', and 'high'.", clip(v))
}

// Times for which a prompt cache is kept.
const (
	fiveMinutes = "5m"
	oneHour     = "1h"
)

// cache is the gateway's shorthand; Parse has judged it.
func (d *decoder) cache(raw []byte) error {
	if on, ok := jsonscan.Bool(raw); ok {
		if on {
			d.prompt.Cache = fiveMinutes
		}
		return nil
	}
	d.prompt.Cache, _ = jsonscan.String(raw)
	return nil
}

// cacheControl at the top is Anthropic's automatic breakpoint, which is what the shorthand asks for.
func (d *decoder) cacheControl(raw []byte) error {
	if d.prompt.Cache == "" {
		d.prompt.Cache = breakpoint(raw)
	}
	return nil
}

// breakpoint reads a cache_control object, which Parse has judged: how long the cache is kept; empty: there is none.
func breakpoint(raw []byte) string {
	if len(raw) == 0 || raw[0] != '{' {
		return ""
	}
	if ttl, ok := jsonscan.String(jsonscan.Field(raw, "ttl")); ok {
		return ttl
	}
	return fiveMinutes
}
