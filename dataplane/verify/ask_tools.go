package verify

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Tools that a model is offered.
var (
	weather = client.Tool{
		Name: "get_weather", Description: "The weather in a city now.",
		Schema: json.RawMessage(`{"type":"object","properties":{"city":{"type":"string","description":"The city's name"}},"required":["city"],"additionalProperties":false}`),
	}
	now = client.Tool{Name: "get_time", Description: "The time now."}
)

// called holds an answer to calls of one tool, and to no others; it answers how many.
func called(a *client.Answer, name string) (int, error) {
	if len(a.Calls) == 0 {
		return 0, wrong("a call of the tool "+name, "none, and the text %q", a.Text)
	}
	for _, c := range a.Calls {
		if c.Name != name {
			return 0, wrong("a call of the tool "+name, "one of %q", c.Name)
		}
	}
	return len(a.Calls), ended(a, client.Tools)
}

// city holds a call's arguments to the schema.
func city(c client.Call) error {
	var args map[string]any
	if err := json.Unmarshal([]byte(c.Arguments), &args); err != nil {
		return wrong(`arguments {"city": a string}`, "%s", c.Arguments)
	}
	if name, ok := args["city"].(string); !ok || name == "" || len(args) != 1 {
		return wrong(`arguments {"city": a string}`, "%s", c.Arguments)
	}
	return nil
}

func forcedTool(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: user("What is the weather in Lisbon?"), Tools: []client.Tool{now, weather}, Choice: weather.Name})
	if err != nil {
		return err
	}
	if _, err := called(a, weather.Name); err != nil {
		return err
	}
	return first(city(a.Calls[0]), counted(a))
}

func bareTool(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: user("What time is it?"), Tools: []client.Tool{now}, Choice: now.Name})
	if err != nil {
		return err
	}
	// That the arguments are an object was checked with the answer: a library parses them before it runs the tool.
	_, err = called(a, now.Name)
	return err
}

func parallelTools(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{
		Turns: user("What is the weather in Lisbon and in Oslo? Call the tool for both cities at once."),
		Tools: []client.Tool{weather}, Choice: client.Required,
	})
	if err != nil {
		return err
	}
	n, err := called(a, weather.Name)
	if err != nil {
		return err
	}
	for _, c := range a.Calls {
		if err := city(c); err != nil {
			return err
		}
	}
	if n == 1 {
		return skip{"the model made one call, as it may"}
	}
	return nil
}

// degrees is a result that no model guesses.
const degrees = "41.7"

func toolResults(ctx context.Context, p *probe) error {
	turns := user("What is the weather in Lisbon? Tell me the exact temperature.")
	call := *p
	// What is sent back is the whole answer, as a library keeps it; that of a stream is asked for once more.
	call.stream = false
	a, err := call.say(ctx, client.Ask{Turns: turns, Tools: []client.Tool{weather}, Choice: weather.Name})
	if err != nil {
		return err
	}
	n, err := called(a, weather.Name)
	if err != nil {
		return err
	}
	return answered(ctx, p, client.Ask{Turns: append(turns, replied(a, n)), Tools: []client.Tool{weather}})
}

// replied is a model's turn with a result for each of its calls.
func replied(a *client.Answer, n int) client.Turn {
	turn := client.Turn{Reply: a}
	for range n {
		turn.Results = append(turn.Results, fmt.Sprintf(`{"celsius":%s,"sky":"clear"}`, degrees))
	}
	return turn
}

// answered asks with the results of tools, which the answer has to know.
func answered(ctx context.Context, p *probe, a client.Ask) error {
	got, err := p.say(ctx, a)
	if err != nil {
		return err
	}
	return first(contains(got.Text, degrees, demoHeard), ended(got, client.Stop), counted(got))
}
