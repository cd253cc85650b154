package anthropic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// builder makes a request of Messages out of a prompt, which it does not change.
type builder struct {
	call   chat.Call
	prompt *chat.Prompt
	facts  facts
	out    body
	// reading is how the answer has to be read.
	reading reading
	// lacking are parameters that the upstream has nothing for, left those that it has and that this request goes without.
	lacking, left []string
}

// reading says what of an answer is not what it seems.
type reading struct {
	// jsonTool says that a call of the tool json is the answer's text; see format.
	jsonTool bool
	// fences says that the text is JSON which may come in a fence of Markdown.
	fences bool
	// custom are the tools whose argument is free text, wrapped in an object.
	custom map[string]bool
}

// build translates a call. dropped are the names of the parameters that went nowhere.
func build(c chat.Call, p *chat.Prompt) (request []byte, read reading, dropped []string, err error) {
	b := &builder{call: c, prompt: p, facts: factsOf(c.Model), reading: reading{custom: map[string]bool{}}}
	b.out.Model = c.Model
	b.out.Stream = c.Request.Stream
	for _, step := range []func() error{b.choices, b.tools, b.messages, b.format, b.limit, b.reason, b.sample, b.rest, b.cache, b.strict} {
		if err := step(); err != nil {
			return nil, reading{}, nil, err
		}
	}
	request, err = b.out.encode()
	return request, b.reading, slices.Compact(slices.Sorted(slices.Values(append(b.lacking, b.left...)))), err
}

// lack names a parameter that the upstream has nothing for.
func (b *builder) lack(name string) { b.lacking = append(b.lacking, b.own(name)) }

// leave names something that this request must go without, whatever the Model says about parameters.
func (b *builder) leave(name string) { b.left = append(b.left, b.own(name)) }

// strict refuses the request where the Model says that nothing is to be dropped.
func (b *builder) strict() error {
	if !b.call.Strict || len(b.lacking) == 0 {
		return nil
	}
	name := b.lacking[0]
	return unsupported(name, fmt.Sprintf("The model does not support the parameter '%s'.", name))
}

// choices refuses n: an answer of this protocol is one, and to return one where more are asked for would be a lie.
func (b *builder) choices() error {
	if b.prompt.Choices > 1 {
		return unsupported("n", "The model gives one choice: 'n' must be 1.")
	}
	return nil
}

// limit sets max_tokens, which the protocol demands.
func (b *builder) limit() error {
	for _, n := range []int64{b.prompt.MaxOutputTokens, b.call.MaxOutputTokens, b.facts.maxOutput} {
		if n > 0 {
			b.out.MaxTokens = n
			return nil
		}
	}
	return nil
}

// sample sets what chooses among tokens. Claude's temperature ends at 1, where OpenAI's ends at 2. A thinking model takes
// none of it, and newer models take none at all; where the value is the default, nothing is lost with it.
func (b *builder) sample() error {
	p := b.prompt
	takes := b.facts.sampling && !b.out.Thinking.on()
	if p.Temperature != "" {
		switch t, err := strconv.ParseFloat(p.Temperature.String(), 64); {
		case err != nil || t < 0:
			return invalid("temperature", "'temperature' must be a number from 0 to 2.")
		case takes && t > 1:
			b.out.Temperature = "1"
		case takes:
			b.out.Temperature = p.Temperature
		case t != 1:
			b.lack("temperature")
		}
	}
	if p.TopP != "" {
		switch t, err := strconv.ParseFloat(p.TopP.String(), 64); {
		case err != nil || t < 0 || t > 1:
			return invalid("top_p", "'top_p' must be a number from 0 to 1.")
		case takes && (b.out.Temperature == "" || !b.facts.oneOf):
			b.out.TopP = p.TopP
		case t != 1:
			b.lack("top_p")
		}
	}
	if p.TopK != nil {
		if takes {
			b.out.TopK = p.TopK
		} else {
			b.lack("top_k")
		}
	}
	return nil
}

// rest sets the stop sequences and the user, and names what there is nothing for.
func (b *builder) rest() error {
	p := b.prompt
	for _, s := range p.Stop {
		if strings.TrimSpace(s) == "" { // refused: "each stop sequence must contain non-whitespace"
			if s != "" {
				b.lack("stop")
			}
			continue
		}
		b.out.StopSequences = append(b.out.StopSequences, s)
	}
	switch {
	case p.User == "":
	case len(p.User) > 256 || strings.Contains(p.User, "@"): // refused: too long, or "appears to contain an email address"
		b.lack("user")
	default:
		b.out.Metadata = &metadata{UserID: p.User}
	}
	for name, given := range map[string]bool{
		"presence_penalty": neither(p.PresencePenalty.String()), "frequency_penalty": neither(p.FrequencyPenalty.String()),
		"seed": p.Seed != nil, "logprobs": p.Logprobs, "top_logprobs": p.TopLogprobs > 0,
		"logit_bias": len(p.LogitBias) > 0, "verbosity": p.Verbosity != "" && p.Verbosity != "medium",
	} {
		if given {
			b.lack(name)
		}
	}
	slices.Sort(b.lacking)
	for _, o := range p.Others {
		b.lack(o.Name)
	}
	return nil
}

// neither says that a penalty is neither left out nor the 0 that is its default.
func neither(number string) bool {
	if number == "" {
		return false
	}
	f, err := strconv.ParseFloat(number, 64)
	return err != nil || f != 0
}
