package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func translated(stream bool, p *chat.Prompt) chat.Call {
	return chat.Call{Model: "demo", Request: &chat.Request{
		ID: "r", Protocol: chat.Messages, Stream: stream, Choices: 1, Translate: func() (*chat.Prompt, error) { return p, nil },
	}}
}

// What a stream says in pieces is what the unary answer says at once, for a text, JSON and tools.
func TestTranslated(t *testing.T) {
	said := []chat.Message{{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartText, Text: "Good morning"}, {Kind: chat.PartImage}}}}
	schema := json.RawMessage(`{"type":"object","properties":{"city":{"type":"string","enum":["Oslo"]}},"required":["city"]}`)
	tool := []chat.Tool{{Name: "other"}, {Name: "weather", Schema: schema}}
	for name, tc := range map[string]struct {
		prompt chat.Prompt
		want   string
		reason chat.FinishReason
	}{
		"text":     {chat.Prompt{Messages: said}, "an image. You said: Good morning", chat.FinishStop},
		"json":     {chat.Prompt{Messages: said, Format: &chat.Format{Schema: schema}}, `{"city":"Oslo"}`, chat.FinishStop},
		"tool":     {chat.Prompt{Messages: said, Tools: tool, ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "weather"}}, `weather{"city":"Oslo"}`, chat.FinishTools},
		"no tools": {chat.Prompt{Messages: said, Tools: tool, ToolChoice: chat.ToolChoice{Mode: chat.ChooseNone}}, "You said: Good morning", chat.FinishStop},
		"result": {chat.Prompt{Tools: tool, Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartResult, Result: &chat.Result{ID: "x"}}}}}},
			"The tool's result arrived", chat.FinishStop},
	} {
		t.Run(name, func(t *testing.T) {
			u := New(Options{Delay: -1})
			unary, err := u.Do(t.Context(), translated(false, &tc.prompt))
			if err != nil {
				t.Fatal(err)
			}
			if unary.Answer == nil || unary.Body != nil || len(unary.Answer.Choices) != 1 {
				t.Fatalf("the answer is %+v", unary)
			}
			choice := unary.Answer.Choices[0]
			var whole strings.Builder
			for _, p := range choice.Parts {
				if whole.WriteString(p.Text); p.Call != nil {
					whole.WriteString(p.Call.Name + p.Call.Arguments)
				}
			}
			if !strings.Contains(whole.String(), tc.want) || choice.Reason != tc.reason {
				t.Errorf("the answer is %q, %s", whole.String(), choice.Reason)
			}
			text, reason, bytes := streamed(t, u, &tc.prompt)
			if diff := cmp.Diff([]any{whole.String(), tc.reason, unary.OutputBytes}, []any{text, reason, bytes}); diff != "" {
				t.Errorf("-unary +stream:\n%s", diff)
			}
		})
	}
}

// streamed reads a translated stream to its end.
func streamed(t *testing.T, u *Upstream, p *chat.Prompt) (text string, reason chat.FinishReason, bytes int64) {
	t.Helper()
	resp, err := u.Do(t.Context(), translated(true, p))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Events.Close() }()
	usage := false
	for {
		ev, err := resp.Events.Next()
		if errors.Is(err, io.EOF) {
			if !usage {
				t.Error("no usage came")
			}
			return text, reason, bytes
		}
		if err != nil {
			t.Fatal(err)
		}
		usage = usage || ev.Usage != nil
		bytes += ev.OutputBytes
		for _, p := range ev.Pieces {
			if text += p.Text; p.Call != nil {
				text += p.Call.Name + p.Call.Arguments
			}
			if p.Finish != nil {
				reason = p.Finish.Reason
			}
		}
	}
}

func TestFit(t *testing.T) {
	u := New(Options{})
	for protocol, want := range map[chat.Protocol]chat.Fit{
		chat.Completions: chat.Passes, chat.Messages: chat.Translates, chat.Responses: chat.Translates, chat.Embeddings: chat.Unfit,
	} {
		if got := u.Fit(nil, protocol); got != want {
			t.Errorf("Fit(%s) = %v, want %v", protocol, got, want)
		}
	}
	bad := errors.New("broken")
	c := translated(false, nil)
	c.Request.Translate = func() (*chat.Prompt, error) { return nil, bad }
	if _, err := u.Do(context.Background(), c); !errors.Is(err, bad) {
		t.Errorf("Do() = %v", err)
	}
}
