package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

var uses atomic.Int64

// fresh makes a script that no other check has used.
func fresh(script string) string { return fmt.Sprintf("%d mock:%s", uses.Add(1), script) }

// slow is a stream that takes some seconds if nobody ends it.
func slow() string {
	return fresh("text=one two three four five six seven eight nine ten,interval=200ms")
}

// left checks what becomes of a stream whose client has gone: it is ended, or read to its end where the provider bills it.
func left(t *testing.T, g target, model, prompt string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		for _, s := range g.mock.Served() {
			if s.Prompt != prompt {
				continue
			}
			if s.Complete != (model == "example/gemini") {
				t.Errorf("complete: %v", s.Complete)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatal("the provider has not served it")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// eachModel runs checks against a model at each maker's API.
func eachModel(t *testing.T, checks map[string]func(t *testing.T, g target, model string)) {
	t.Parallel()
	g := live(t)
	for _, model := range g.models {
		for name, check := range checks {
			t.Run(strings.TrimPrefix(model, "example/")+"/"+name, func(t *testing.T) { check(t, g, model) })
		}
	}
}

var cityParameters = map[string]any{
	"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}, "additionalProperties": false,
}

func goClient(g target, retries int) openai.Client {
	return openai.NewClient(option.WithBaseURL(g.baseURL), option.WithAPIKey(g.key), option.WithMaxRetries(retries))
}

func goAsk(model, prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)}}
}

// goWhole is an answer, or what the library's accumulator makes of its stream.
func goWhole(t *testing.T, client openai.Client, params openai.ChatCompletionNewParams, streamed bool) openai.ChatCompletion {
	t.Helper()
	if !streamed {
		answer, err := client.Chat.Completions.New(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		return *answer
	}
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		if !all.AddChunk(stream.Current()) {
			t.Fatalf("chunk %s does not fit", stream.Current().RawJSON())
		}
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	return all.ChatCompletion
}

func TestGoCross(t *testing.T) {
	eachModel(t, map[string]func(*testing.T, target, string){
		"chat": goCrossChat, "tools": goCrossTools, "schema": goCrossSchema, "thoughts": goCrossThoughts, "abort": goCrossAbort, "retry": goCrossRetry,
		"error in a stream": goCrossBroken, "responses": goCrossResponses, "responses thoughts": goCrossResponsesThoughts,
	})
}

func goCrossChat(t *testing.T, g target, model string) {
	for _, streamed := range []bool{false, true} {
		answer := goWhole(t, goClient(g, 0), goAsk(model, "mock:text=one two three"), streamed)
		if c := answer.Choices[0]; c.Message.Content != "one two three" || c.FinishReason != "stop" {
			t.Errorf("streamed %v: %+v", streamed, c)
		}
		if u := answer.Usage; u.CompletionTokens == 0 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
			t.Errorf("streamed %v: usage %+v", streamed, u)
		}
	}
}

func goCrossTools(t *testing.T, g target, model string) {
	for script, want := range map[string]string{"mock:tool": "You said: sunny", "mock:tools=2": "You said: sunny sunny"} {
		for _, streamed := range []bool{false, true} {
			params := goAsk(model, script)
			params.Tools = []openai.ChatCompletionToolUnionParam{
				openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "get_weather", Parameters: cityParameters}),
			}
			message := goWhole(t, goClient(g, 0), params, streamed).Choices[0].Message
			params.Messages = append(params.Messages, message.ToParam())
			for _, c := range message.ToolCalls {
				if d := cmp.Diff(`{"city":"mock"}`, strings.ReplaceAll(c.Function.Arguments, " ", "")); d != "" {
					t.Error(d)
				}
				params.Messages = append(params.Messages, openai.ToolMessage("sunny", c.ID))
			}
			if got := goWhole(t, goClient(g, 0), params, streamed).Choices[0].Message.Content; got != want {
				t.Errorf("%s, streamed %v: %q", script, streamed, got)
			}
		}
	}
}

func goCrossSchema(t *testing.T, g target, model string) {
	params := goAsk(model, "hi")
	params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
		JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "city", Schema: cityParameters, Strict: openai.Bool(true)},
	}
	var city struct{ City string }
	content := goWhole(t, goClient(g, 0), params, false).Choices[0].Message.Content
	if err := json.Unmarshal([]byte(content), &city); err != nil || city.City != "mock" {
		t.Errorf("%s: %v", content, err)
	}
}

// The library's own types have no thoughts: what must come back comes back in the ids of the calls.
func goCrossThoughts(t *testing.T, g target, model string) {
	for _, streamed := range []bool{false, true} {
		params := goAsk(model, "mock:think,tool")
		params.ReasoningEffort = "low"
		params.Tools = []openai.ChatCompletionToolUnionParam{
			openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "get_weather", Parameters: cityParameters}),
		}
		message := goWhole(t, goClient(g, 0), params, streamed).Choices[0].Message
		params.Messages = append(params.Messages, message.ToParam(), openai.ToolMessage("mock:thoughts", message.ToolCalls[0].ID))
		want := "1 thoughts"
		if model == "example/openai" {
			want = "0 thoughts" // OpenAI's chat completions sign nothing
		}
		if got := goWhole(t, goClient(g, 0), params, false).Choices[0].Message.Content; got != want {
			t.Errorf("streamed %v: %q, want %q", streamed, got, want)
		}
	}
}

func goCrossAbort(t *testing.T, g target, model string) {
	prompt := slow()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := goClient(g, 0)
	stream := client.Chat.Completions.NewStreaming(ctx, goAsk(model, prompt))
	defer stream.Close()
	for stream.Next() {
		if c := stream.Current().Choices; len(c) > 0 && c[0].Delta.Content != "" {
			cancel()
		}
	}
	left(t, g, model, prompt)
}

func goCrossRetry(t *testing.T, g target, model string) {
	client := goClient(g, 0)
	_, err := client.Chat.Completions.New(t.Context(), goAsk(model, fresh("status=429,fails=1000")))
	wantError(t, err, http.StatusTooManyRequests, "mock error 429")
	answer := goWhole(t, goClient(g, 2), goAsk(model, fresh("text=at last,status=429,fails=4")), false)
	if got := answer.Choices[0].Message.Content; got != "at last" {
		t.Error(got)
	}
}

func goCrossBroken(t *testing.T, g target, model string) {
	client := goClient(g, 0)
	stream := client.Chat.Completions.NewStreaming(t.Context(), goAsk(model, "mock:text=a b c d,error=mid"))
	defer stream.Close()
	for stream.Next() {
	}
	if stream.Err() == nil {
		t.Error("no error")
	}
}

func goCrossResponses(t *testing.T, g target, model string) {
	client := goClient(g, 0)
	params := responses.ResponseNewParams{Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("mock:text=one two three")}}
	answer, err := client.Responses.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	if answer.OutputText() != "one two three" || answer.Status != "completed" {
		t.Errorf("%s", answer.RawJSON())
	}
	stream := client.Responses.NewStreaming(t.Context(), params)
	defer stream.Close()
	var text strings.Builder
	var last string
	for stream.Next() {
		e := stream.Current()
		if last = e.Type; last == "response.output_text.delta" {
			text.WriteString(e.Delta)
		}
	}
	if stream.Err() != nil || text.String() != "one two three" || last != "response.completed" {
		t.Errorf("%q, %s, %v", text.String(), last, stream.Err())
	}
}

func goCrossResponsesThoughts(t *testing.T, g target, model string) {
	client := goClient(g, 0)
	input := []any{map[string]any{"role": "user", "content": "mock:think,tool"}}
	ask := func() *responses.Response {
		answer, err := client.Responses.New(t.Context(), responses.ResponseNewParams{
			Model: model, Store: openai.Bool(false), Include: []responses.ResponseIncludable{"reasoning.encrypted_content"},
			Reasoning: shared.ReasoningParam{Effort: "low", Summary: "auto"},
			Tools:     []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "get_weather", Parameters: cityParameters, Strict: openai.Bool(true)}}},
		}, option.WithJSONSet("input", input))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	first := ask()
	for _, o := range first.Output {
		input = append(input, json.RawMessage(o.RawJSON()))
		if o.Type == "function_call" {
			input = append(input, map[string]any{"type": "function_call_output", "call_id": o.CallID, "output": "mock:thoughts"})
		}
	}
	if got := ask().OutputText(); first.Output[0].Type != "reasoning" || got != "1 thoughts" {
		t.Errorf("%q after %s", got, first.RawJSON())
	}
}
