package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

func anthropicClient(g target, retries int) anthropic.Client {
	return anthropic.NewClient(option.WithBaseURL(strings.TrimSuffix(g.baseURL, "/v1")), option.WithAPIKey(g.key), option.WithMaxRetries(retries))
}

func anthropicAsk(model, prompt string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: model, MaxTokens: 4000, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))},
	}
}

// anthropicWhole is an answer, or what the library makes of its stream.
func anthropicWhole(t *testing.T, client anthropic.Client, params anthropic.MessageNewParams, streamed bool) anthropic.Message {
	t.Helper()
	if !streamed {
		answer, err := client.Messages.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		return *answer
	}
	stream := client.Messages.NewStreaming(t.Context(), params)
	defer stream.Close()
	var all anthropic.Message
	for stream.Next() {
		if err := all.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	return all
}

// anthropicText is all text of a message.
func anthropicText(m anthropic.Message) string {
	var b strings.Builder
	for _, block := range m.Content {
		b.WriteString(block.Text)
	}
	return b.String()
}

// answered are the results of all calls of a message.
func answered(m anthropic.Message, result string) anthropic.MessageParam {
	var blocks []anthropic.ContentBlockParamUnion
	for _, b := range m.Content {
		if b.Type == "tool_use" {
			blocks = append(blocks, anthropic.NewToolResultBlock(b.ID, result, false))
		}
	}
	return anthropic.NewUserMessage(blocks...)
}

var anthropicTool = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(
	anthropic.ToolInputSchemaParam{Properties: cityParameters["properties"], Required: []string{"city"}}, "get_weather",
)}

// TestGoAnthropic checks Anthropic's library for Go against a model at each maker's API.
func TestGoAnthropic(t *testing.T) {
	eachModel(t, map[string]func(*testing.T, target, string){
		"chat": anthropicChat, "tools": anthropicTools, "schema": anthropicSchema, "thoughts": anthropicThoughts, "abort": anthropicAbort,
		"retry": anthropicRetry, "count tokens": anthropicCount, "error in a stream": anthropicBroken,
	})
}

func anthropicChat(t *testing.T, g target, model string) {
	for _, streamed := range []bool{false, true} {
		answer := anthropicWhole(t, anthropicClient(g, 0), anthropicAsk(model, "mock:text=one two three"), streamed)
		if anthropicText(answer) != "one two three" || answer.StopReason != "end_turn" {
			t.Errorf("streamed %v: %+v", streamed, answer)
		}
		if answer.Usage.InputTokens == 0 || answer.Usage.OutputTokens == 0 {
			t.Errorf("streamed %v: usage %+v", streamed, answer.Usage)
		}
	}
}

func anthropicTools(t *testing.T, g target, model string) {
	for script, want := range map[string]string{"mock:tool": "You said: sunny", "mock:tools=2": "You said: sunny sunny"} {
		for _, streamed := range []bool{false, true} {
			params := anthropicAsk(model, script)
			params.Tools = anthropicTool
			first := anthropicWhole(t, anthropicClient(g, 0), params, streamed)
			for _, b := range first.Content {
				var in struct{ City string }
				if b.Type == "tool_use" && (json.Unmarshal(b.Input, &in) != nil || in.City != "mock") {
					t.Errorf("input %s", b.Input)
				}
			}
			params.Messages = append(params.Messages, first.ToParam(), answered(first, "sunny"))
			if got := anthropicText(anthropicWhole(t, anthropicClient(g, 0), params, streamed)); got != want || first.StopReason != "tool_use" {
				t.Errorf("%s, streamed %v: %q after %s", script, streamed, got, first.StopReason)
			}
		}
	}
}

func anthropicSchema(t *testing.T, g target, model string) {
	params := anthropicAsk(model, "hi")
	params.OutputConfig.Format.Schema = cityParameters
	var city struct{ City string }
	text := anthropicText(anthropicWhole(t, anthropicClient(g, 0), params, false))
	if err := json.Unmarshal([]byte(text), &city); err != nil || city.City != "mock" {
		t.Errorf("%s: %v", text, err)
	}
}

func anthropicThoughts(t *testing.T, g target, model string) {
	for _, streamed := range []bool{false, true} {
		params := anthropicAsk(model, "mock:think,tool")
		params.Tools = anthropicTool
		params.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024)
		if model == "example/claude" {
			params.Thinking = anthropic.ThinkingConfigParamUnion{OfAdaptive: &anthropic.ThinkingConfigAdaptiveParam{Display: "summarized"}}
		}
		first := anthropicWhole(t, anthropicClient(g, 0), params, streamed)
		params.Messages = append(params.Messages, first.ToParam(), answered(first, "mock:thoughts"))
		second := anthropicWhole(t, anthropicClient(g, 0), params, streamed)
		if got := anthropicText(second); first.Content[0].Type != "thinking" || got != "1 thoughts" {
			t.Errorf("streamed %v: %q after %s", streamed, got, first.Content[0].Type)
		}
	}
}

func anthropicAbort(t *testing.T, g target, model string) {
	prompt := slow()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := anthropicClient(g, 0)
	stream := client.Messages.NewStreaming(ctx, anthropicAsk(model, prompt))
	defer stream.Close()
	for stream.Next() {
		if stream.Current().Type == "content_block_delta" {
			cancel()
		}
	}
	left(t, g, model, prompt)
}

func anthropicRetry(t *testing.T, g target, model string) {
	client := anthropicClient(g, 0)
	_, err := client.Messages.New(t.Context(), anthropicAsk(model, fresh("status=429,fails=1000")))
	var e *anthropic.Error
	if !errors.As(err, &e) || e.StatusCode != http.StatusTooManyRequests || !strings.Contains(e.RawJSON(), "rate_limit_error") {
		t.Errorf("%v", err)
	}
	answer := anthropicWhole(t, anthropicClient(g, 2), anthropicAsk(model, fresh("text=at last,status=429,fails=4")), false)
	if got := anthropicText(answer); got != "at last" {
		t.Error(got)
	}
}

func anthropicCount(t *testing.T, g target, model string) {
	client := anthropicClient(g, 0)
	count, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model: model, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("How many?"))},
	})
	if err != nil || count.InputTokens == 0 {
		t.Errorf("%v, %v", count, err)
	}
}

func anthropicBroken(t *testing.T, g target, model string) {
	client := anthropicClient(g, 0)
	stream := client.Messages.NewStreaming(t.Context(), anthropicAsk(model, "mock:text=a b c d,error=mid"))
	defer stream.Close()
	for stream.Next() {
	}
	if stream.Err() == nil {
		t.Error("no error")
	}
}
