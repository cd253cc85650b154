package sdk

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestGo checks with the Go library what the scripts check with the others.
func TestGo(t *testing.T) {
	eachTarget(t, func(t *testing.T, g target) {
		client := openai.NewClient(option.WithBaseURL(g.baseURL), option.WithAPIKey(g.key), option.WithMaxRetries(0))
		for name, check := range map[string]func(*testing.T, openai.Client, target){
			"models": goModels, "chat": goChat, "stream": goStream, "tools": goTools, "invalid key": goInvalidKey, "malformed body": goMalformedBody,
		} {
			t.Run(name, func(t *testing.T) { check(t, client, g) })
		}
	})
}

func ask(g target, prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: g.model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}

func goModels(t *testing.T, client openai.Client, g target) {
	found := false
	pages := client.Models.ListAutoPaging(t.Context())
	for pages.Next() {
		found = found || pages.Current().ID == g.model
	}
	if pages.Err() != nil || !found {
		t.Errorf("%s is not in the list: %v", g.model, pages.Err())
	}
	if m, err := client.Models.Get(t.Context(), g.model); err != nil || m.ID != g.model {
		t.Errorf("Get() = %v, %v", m, err)
	}
}

func goChat(t *testing.T, client openai.Client, g target) {
	answer, err := client.Chat.Completions.New(t.Context(), ask(g, "Say hello."))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Choices[0].Message.Content == "" || answer.Choices[0].FinishReason != "stop" {
		t.Errorf("choice %s", answer.Choices[0].RawJSON())
	}
	if u := answer.Usage; u.CompletionTokens == 0 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
		t.Errorf("usage %s", u.RawJSON())
	}
}

func goStream(t *testing.T, client openai.Client, g target) {
	params := ask(g, "Say hello.")
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := client.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var text strings.Builder
	var last openai.ChatCompletionChunk
	for stream.Next() {
		last = stream.Current()
		for _, c := range last.Choices {
			text.WriteString(c.Delta.Content)
		}
	}
	if stream.Err() != nil || text.Len() == 0 {
		t.Errorf("text %q, %v", text.String(), stream.Err())
	}
	if len(last.Choices) != 0 || last.Usage.CompletionTokens == 0 {
		t.Errorf("the last chunk is no usage: %s", last.RawJSON())
	}
}

func goTools(t *testing.T, client openai.Client, g target) {
	params := ask(g, g.toolPrompt)
	params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name:       "get_weather",
		Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}},
	})}
	answer, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	calls := answer.Choices[0].Message.ToolCalls
	if len(calls) != 1 || calls[0].Function.Name != "get_weather" || !json.Valid([]byte(calls[0].Function.Arguments)) {
		t.Errorf("choice %s", answer.Choices[0].RawJSON())
	}
}

func goInvalidKey(t *testing.T, client openai.Client, g target) {
	_, err := client.Chat.Completions.New(t.Context(), ask(g, "Say hello."), option.WithAPIKey("not-a-key"))
	wantError(t, err, http.StatusUnauthorized, "Invalid API key")
}

func goMalformedBody(t *testing.T, client openai.Client, g target) {
	_, err := client.Chat.Completions.New(t.Context(), ask(g, "Say hello."), option.WithRequestBody("application/json", []byte(`{"model":`)))
	wantError(t, err, http.StatusBadRequest, "")
}

func wantError(t *testing.T, err error, status int, message string) {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is none of the API", err)
	}
	if e.StatusCode != status || !strings.Contains(e.Message, message) {
		t.Errorf("error %d %q, want %d %q", e.StatusCode, e.Message, status, message)
	}
}
