package verify

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Capabilities, as api/v1alpha1.Capability spells them.
const (
	canText   = "Text"
	canStream = "Streaming"
	canSee    = "Vision"
	canTools  = "Tools"
	canJSON   = "JSON"
	canThink  = "Thinking"
	canSearch = "WebSearch"
	canCache  = "PromptCache"
	canEmbed  = "Embeddings"
)

// check is one question to a model in one protocol.
type check struct {
	name string
	// needs are capabilities, Text left out: every model has it, and Streaming where it is streamed.
	needs []string
	// streamed says that the check is made of streams, too.
	streamed bool
	// not are the names of protocols that have no such thing.
	not []string
	run func(ctx context.Context, p *probe) error
}

// checks are the capability matrix.
var checks = []check{
	{name: "text", streamed: true, run: text},
	{name: "usage only when asked", needs: []string{canStream}, not: []string{messages, responses}, run: unasked},
	{name: "length", streamed: true, run: length},
	{name: "image", needs: []string{canSee}, run: image},
	{name: "forced tool", needs: []string{canTools}, streamed: true, run: forcedTool},
	{name: "tool without arguments", needs: []string{canTools}, streamed: true, run: bareTool},
	{name: "parallel tools", needs: []string{canTools}, streamed: true, run: parallelTools},
	{name: "tool results", needs: []string{canTools}, streamed: true, run: toolResults},
	{name: "JSON object", needs: []string{canJSON}, streamed: true, not: []string{messages}, run: jsonObject},
	{name: "JSON schema", needs: []string{canJSON}, streamed: true, run: jsonSchema},
	{name: "thinking", needs: []string{canThink}, streamed: true, run: thinking},
	{name: "thinking across a tool call", needs: []string{canThink, canTools}, run: thinkingTools},
	{name: "web search", needs: []string{canSearch}, streamed: true, run: webSearch},
	{name: "prompt cache", needs: []string{canCache}, run: promptCache},
}

// Protocols' names.
const (
	completions = "chat.completions"
	messages    = "messages"
	responses   = "responses"
)

// model is what is known of a model.
type model struct {
	id string
	// can are its capabilities; nil: not known, so that each is tried.
	can []string
}

// has says whether a model is known to have a capability, or may have it.
func (m model) has(capability string) bool {
	same := func(c string) bool { return plain(c) == plain(capability) }
	return m.can == nil || slices.ContainsFunc(m.can, same)
}

// plain is a capability without what spellings differ in.
func plain(c string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(c))
}

// probe is one check of one model.
type probe struct {
	*target
	model  model
	p      client.Protocol
	stream bool
	// sure says that a refusal is a failure: the model is known to have what is asked for.
	sure bool
}

// outputLimit bounds answers, in tokens: room for a model that thinks first.
const outputLimit = 2048

// say asks the model.
func (p *probe) say(ctx context.Context, a client.Ask) (*client.Answer, error) {
	a.Model = p.model.id
	a.Stream, a.Usage = p.stream, p.stream
	if a.Limit == 0 {
		a.Limit = outputLimit
	}
	answer, got, err := p.ask(ctx, p.p, a)
	if err != nil && got != nil && got.status == http.StatusBadRequest && !p.sure {
		return nil, skip{"the model is not known to have it, and refuses: " + got.told(p.p)}
	}
	return answer, err
}

// job is a check to be made.
type job struct {
	name  string
	probe *probe
	run   func(ctx context.Context, p *probe) error
}

// jobs are the checks of a model; those of capabilities that it does not have are results already.
func jobs(t *target, m model, protocols []client.Protocol) (todo []job, skipped []Result) {
	for _, p := range protocols {
		for _, c := range checks {
			if slices.Contains(c.not, p.Name()) {
				continue
			}
			for _, streamed := range variants(c) {
				name, needs := c.name, c.needs
				if streamed {
					name, needs = name+", streamed", append(slices.Clone(needs), canStream)
				}
				if lacks := m.lacks(needs); lacks != "" {
					skipped = append(skipped, Result{Subject: m.id, Protocol: p.Name(), Check: name, Outcome: Skipped, Reason: "the model does not have " + lacks})
					continue
				}
				one := &probe{target: t, model: m, p: p, stream: streamed || slices.Contains(c.needs, canStream), sure: m.can != nil || len(needs) == 0}
				todo = append(todo, job{name, one, c.run})
			}
		}
	}
	return todo, skipped
}

func variants(c check) []bool {
	if c.streamed {
		return []bool{false, true}
	}
	return []bool{false}
}

// lacks is the first capability that the model is known not to have; empty: none.
func (m model) lacks(needs []string) string {
	for _, c := range needs {
		if !m.has(c) {
			return c
		}
	}
	return ""
}
