package mockprovider

import (
	"encoding/json"
	"regexp"
	"strings"
)

var toolUseID = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// checkMessages checks the conversation, and counts the thoughts that came back.
func (q *anthropicRequest) checkMessages(in *request) *failure {
	if len(q.Messages) == 0 {
		return refuse("messages: at least one message is required")
	}
	if last := q.Messages[len(q.Messages)-1]; last.Role == "assistant" && newClaude.MatchString(q.Model) {
		return refuse("This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	messages := q.merged()
	for i, m := range q.Messages {
		if m.Role != "user" && m.Role != "assistant" && (m.Role != "system" || !newClaude.MatchString(q.Model)) {
			return refuse("messages.%d.role: Input should be 'user' or 'assistant'", i)
		}
		for j, b := range m.Content {
			if f := b.check(i, j); f != nil {
				return f
			}
			if b.Type == "thinking" || b.Type == "redacted_thinking" {
				in.Thoughts++
			}
		}
	}
	if f := checkResults(q.Messages); f != nil {
		return f
	}
	if last := len(messages) - 2; q.Thinking.Type == "enabled" && last >= 0 {
		return checkThoughtFirst(last, messages[last])
	}
	return nil
}

// merged are the messages with those of one role in a row as one, as the model sees them.
func (q *anthropicRequest) merged() (out []anthropicMessage) {
	for _, m := range q.Messages {
		if n := len(out); n > 0 && out[n-1].Role == m.Role {
			out[n-1].Content = append(out[n-1].Content[:len(out[n-1].Content):len(out[n-1].Content)], m.Content...)
			continue
		}
		out = append(out, m)
	}
	return out
}

// check checks one block; thoughts must be as they were given.
func (b anthropicBlock) check(i, j int) *failure {
	switch b.Type {
	case "text":
		if b.Text == "" {
			return refuse("messages: text content blocks must be non-empty")
		}
	case "thinking":
		if b.Signature == nil {
			return refuse("messages.%d.content.%d.thinking.signature: Field required", i, j)
		}
		if *b.Signature != sign("thinking", b.Thinking) {
			return refuse("messages.%d.content.%d: Invalid `signature` in `thinking` block", i, j)
		}
	case "redacted_thinking":
		if b.Data != sign("redacted", "") {
			return refuse("messages.%d.content.%d: Invalid `data` in `redacted_thinking` block", i, j)
		}
	case "tool_use":
		var input map[string]json.RawMessage
		if !toolUseID.MatchString(b.ID) {
			return refuse("messages.%d.content.%d.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", i, j)
		}
		if json.Unmarshal(b.Input, &input) != nil || input == nil {
			return refuse("messages.%d.content.%d.tool_use.input: Input should be a valid dictionary", i, j)
		}
	}
	return nil
}

// checkResults wants all results of a message's calls in the next message, and no others.
func checkResults(messages []anthropicMessage) *failure {
	var before []anthropicBlock
	for i, m := range messages {
		calls := map[string]bool{}
		for _, b := range before {
			if b.Type == "tool_use" {
				calls[b.ID] = true
			}
		}
		for j, b := range m.Content {
			if b.Type == "tool_result" && !calls[b.ToolUseID] {
				return refuse("messages.%d.content.%d: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", i, j, b.ToolUseID)
			}
			if b.Type == "tool_result" {
				delete(calls, b.ToolUseID)
			}
		}
		if f := missing(i-1, calls); f != nil {
			return f
		}
		before = m.Content
	}
	calls := map[string]bool{}
	for _, b := range before {
		if b.Type == "tool_use" {
			calls[b.ID] = true
		}
	}
	return missing(len(messages)-1, calls)
}

func missing(i int, calls map[string]bool) *failure {
	if len(calls) == 0 {
		return nil
	}
	var ids []string
	for id := range calls {
		ids = append(ids, id)
	}
	return refuse("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
		i, strings.Join(ids, ", "))
}

// checkThoughtFirst wants a thought before the calls whose results are now given.
func checkThoughtFirst(i int, m anthropicMessage) *failure {
	if m.Role != "assistant" {
		return nil
	}
	for _, b := range m.Content {
		if b.Type == "tool_use" && !strings.HasSuffix(m.Content[0].Type, "thinking") {
			return refuse("messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceding the lastmost set of `tool_use` and `tool_result` blocks). To avoid this requirement, disable `thinking`.",
				i, m.Content[0].Type)
		}
	}
	return nil
}
