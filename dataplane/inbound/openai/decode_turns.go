package openai

import (
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// turns collects the messages and sees to it that every call of a tool has one result, which follows it: what OpenAI asks
// for, and what no other protocol can do without.
type turns struct {
	messages []chat.Message
	// waiting are the calls of the answer before, in their order.
	waiting []waitingCall
	// used are the ids of all calls so far, bare and unique.
	used map[string]bool
	// functions counts the calls of functions, which have no ids.
	functions int
}

type waitingCall struct {
	// client is the id as the client has it, without what it carried; ours is unique in the conversation.
	client, ours, name string
	// function says that the call is of a function, whose result tells its name instead of an id.
	function bool
	result   *chat.Part
}

func (t *turns) add(m chat.Message) {
	if len(m.Parts) > 0 {
		t.messages = append(t.messages, m)
	}
}

// unique gives a call an id that no call before it has.
func (t *turns) unique(id string) string {
	if t.used == nil {
		t.used = map[string]bool{}
	}
	out := id
	for n := 2; t.used[out]; n++ {
		out = id + "_" + strconv.Itoa(n)
	}
	t.used[out] = true
	return out
}

// await expects the results of the calls.
func (t *turns) await(calls []call) {
	for i := range calls {
		c := &calls[i]
		t.waiting = append(t.waiting, waitingCall{client: c.client, ours: c.part.Call.ID, name: c.part.Call.Name, function: c.function})
	}
}

// result takes one; with the last, all of them become one user message in the order of the calls. ok is false where no call
// waits for it.
func (t *turns) result(is func(*waitingCall) bool, part chat.Part) (ok bool) {
	missing := 0
	for i := range t.waiting {
		c := &t.waiting[i]
		if !ok && c.result == nil && is(c) {
			part.Result.ID, part.Result.Name = c.ours, c.name
			c.result, ok = &part, true
		}
		if c.result == nil {
			missing++
		}
	}
	if !ok || missing > 0 {
		return ok
	}
	m := chat.Message{Role: chat.User}
	for i := range t.waiting {
		m.Parts = append(m.Parts, *t.waiting[i].result)
	}
	t.add(m)
	t.waiting = nil
	return true
}

// settled says that no call waits for its result.
func (t *turns) settled() error {
	var missing []string
	for i := range t.waiting {
		if c := &t.waiting[i]; c.result == nil {
			missing = append(missing, clip(c.client))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return refuse("messages", "invalid_value", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(missing, ", "))
}

// tool reads the result of a call.
func (d *decoder) tool(param string, f messageFields) error {
	id, ok := jsonscan.String(f.toolCallID)
	if !ok {
		return refuse(param+".tool_call_id", "missing_required_parameter", "Missing required parameter: '%s.tool_call_id'.", param)
	}
	id, _, _ = uncarry(id)
	part, err := resultPart(param, f)
	if err != nil {
		return err
	}
	if !d.turns.result(func(c *waitingCall) bool { return !c.function && c.client == id }, part) {
		return refuse(param+".tool_call_id", "invalid_value", "Invalid parameter: '%s.tool_call_id' '%s' is not the id of a tool call of the message before that still waits for its result.", param, clip(id))
	}
	return nil
}

// functionResult reads the result of a function, which is known by its name.
func (d *decoder) functionResult(param string, f messageFields) error {
	name, ok := jsonscan.String(f.name)
	if !ok {
		return refuse(param+".name", "missing_required_parameter", "Missing required parameter: '%s.name'.", param)
	}
	part, err := resultPart(param, f)
	if err != nil {
		return err
	}
	if !d.turns.result(func(c *waitingCall) bool { return c.function && c.name == name }, part) {
		return refuse(param+".name", "invalid_value", "Invalid parameter: '%s.name': the message before does not call a function '%s'.", param, clip(name))
	}
	return nil
}

func resultPart(param string, f messageFields) (chat.Part, error) {
	result := &chat.Result{}
	if f.content != nil {
		parts, err := content(param+".content", chat.User, f.content)
		if err != nil {
			return chat.Part{}, err
		}
		result.Parts = parts
	}
	return chat.Part{Kind: chat.PartResult, Result: result, Cache: breakpoint(f.cache)}, nil
}
