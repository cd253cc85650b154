package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

func jsonObject(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: user(`Answer with a JSON object that has the member "city": the capital of Portugal.`), JSON: true})
	if err != nil {
		return err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(a.Text), &object) != nil || len(object) == 0 {
		return wrong("a text that is a JSON object", "%q", a.Text)
	}
	return ended(a, client.Stop)
}

// place is the schema that an answer has to follow.
const place = `{"type":"object","properties":{"city":{"type":"string"},"founded":{"type":"integer"},"coast":{"type":"boolean"}},` +
	`"required":["city","founded","coast"],"additionalProperties":false}`

func jsonSchema(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: user("Describe Lisbon."), Schema: json.RawMessage(place)})
	if err != nil {
		return err
	}
	return first(placed(a.Text), ended(a, client.Stop))
}

// placed holds a text to the schema.
func placed(text string) error {
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&object) == nil && !d.More() && len(object) == 3 {
		_, city := object["city"].(string)
		_, coast := object["coast"].(bool)
		founded, number := object["founded"].(json.Number)
		if r, ok := new(big.Rat).SetString(founded.String()); city && coast && number && ok && r.IsInt() {
			return nil
		}
	}
	return wrong("a text that follows the schema (city, founded, coast, and nothing else)", "%q", text)
}

// riddle is worth a thought.
const riddle = "How many whole numbers from 1 to 60 are divisible by 3 or by 5, but not by both? Think it through, then reply with the number alone."

// thinkLimit leaves room for thinking and an answer, in tokens.
const thinkLimit = 8192

// thoughtful asks for thinking in the protocol's two ways: models know one of them.
func thoughtful(ctx context.Context, p *probe, a client.Ask) (*client.Answer, error) {
	a.Think, a.Limit = true, thinkLimit
	got, err := p.say(ctx, a)
	var refused *client.Mismatch
	if errors.As(err, &refused) && p.p.Name() == messages {
		a.Adaptive = true
		if again, err := p.say(ctx, a); err == nil {
			return again, nil
		}
	}
	return got, err
}

// thought holds an answer to some trace of thinking: a text, something signed, or tokens.
func thought(a *client.Answer) error {
	if a.Reasoning == "" && !a.Signed && (a.Usage == nil || a.Usage.Reasoning == 0) {
		return wrong("reasoning: a text, a signature, or tokens of it", "none of them")
	}
	return nil
}

func thinking(ctx context.Context, p *probe) error {
	a, err := thoughtful(ctx, p, client.Ask{Turns: user(riddle)})
	if err != nil {
		return err
	}
	return first(thought(a), contains(a.Text, "24"), ended(a, client.Stop), counted(a))
}

// thinkingTools sends thoughts back with the results of a tool: their maker refuses what was changed on the way.
func thinkingTools(ctx context.Context, p *probe) error {
	turns := user("What is the exact temperature in Lisbon now? Use the tool. Think first.")
	ask := client.Ask{Turns: turns, Tools: []client.Tool{weather}}
	a, err := thoughtful(ctx, p, ask)
	if err != nil {
		return err
	}
	if len(a.Calls) == 0 {
		return skip{"the model called no tool, as it may"}
	}
	n, err := called(a, weather.Name)
	if err != nil {
		return err
	}
	ask.Turns = append(turns, replied(a, n))
	got, err := thoughtful(ctx, p, ask)
	if err != nil {
		return err
	}
	return first(contains(got.Text, degrees), ended(got, client.Stop))
}

func webSearch(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: user("Search the web: which is the latest stable release of the Go programming language? Cite your sources."), Search: true, Limit: thinkLimit})
	if err != nil {
		return err
	}
	if a.Text == "" || len(a.Citations) == 0 {
		return wrong("a text with citations", "%d citations of the text %q", len(a.Citations), a.Text)
	}
	for _, c := range a.Citations {
		if u, err := url.Parse(c); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return wrong("citations with the URLs of pages", "%q", c)
		}
	}
	return first(ended(a, client.Stop), counted(a))
}

// A prompt that no other has begun with, and that is long enough to be kept: providers want 1,024 to 4,096 tokens.
const (
	cacheLines = 400
	cacheTries = 4
	cacheWait  = 2 * time.Second
)

func promptCache(ctx context.Context, p *probe) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Reference %s %s %d.\n", p.model.id, p.p.Name(), p.options.Now().UnixNano())
	for i := range cacheLines {
		fmt.Fprintf(&b, "Rule %d: keep the answer shorter than %d words and in plain English.\n", i, 100+i)
	}
	ask := client.Ask{System: b.String(), Turns: user("Reply with the single word pong."), Cache: true}
	var last *client.Answer
	for n := range cacheTries {
		if n > 0 {
			p.options.Wait(ctx, cacheWait)
		}
		a, err := p.say(ctx, ask)
		if err != nil {
			return err
		}
		if err := counted(a); err != nil {
			return err
		}
		switch {
		case n == 0 && a.Usage.CacheRead > 0:
			return wrong("no cached tokens in a prompt that is new", "%d", a.Usage.CacheRead)
		case a.Usage.CacheRead > a.Usage.Input:
			return wrong("cached tokens that are a part of the input", "%d of %d", a.Usage.CacheRead, a.Usage.Input)
		case a.Usage.CacheRead > 0:
			return nil
		}
		last = a
	}
	switch {
	case !p.sure:
		return skip{"the model is not known to have it, and no tokens were read from a cache"}
	case p.p.Name() == responses:
		return skip{"no tokens were read from a cache, and the protocol has no way to ask for one"}
	}
	return wrong("cached tokens when the same prompt comes again", "none in %d answers, usage %+v", cacheTries, *last.Usage)
}
