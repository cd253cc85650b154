package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// geminiAsk is what the fake reads of a request.
type geminiAsk struct {
	Contents []struct {
		Parts []map[string]json.RawMessage `json:"parts"`
	} `json:"contents"`
	Tools []struct {
		Functions []struct{ Name string } `json:"functionDeclarations"`
		Search    json.RawMessage         `json:"googleSearch"`
	} `json:"tools"`
	ToolConfig struct {
		Calling struct {
			Mode    string   `json:"mode"`
			Allowed []string `json:"allowedFunctionNames"`
		} `json:"functionCallingConfig"`
	} `json:"toolConfig"`
	Config struct {
		Limit    int64           `json:"maxOutputTokens"`
		Type     string          `json:"responseMimeType"`
		Thinking json.RawMessage `json:"thinkingConfig"`
	} `json:"generationConfig"`
}

// has says whether any part has a member.
func (a *geminiAsk) has(member string) bool {
	for _, c := range a.Contents {
		for _, p := range c.Parts {
			if p[member] != nil {
				return true
			}
		}
	}
	return false
}

// said are the parts of the answer, why it ended, and its grounding.
func (a *geminiAsk) said() (parts []string, finish, more string) {
	text := func(s string) string { return fmt.Sprintf(`{"text":%q}`, s) }
	if a.Config.Thinking != nil && strings.Contains(string(a.Config.Thinking), "includeThoughts") {
		parts = append(parts, `{"text":"Let me see.","thought":true}`)
	}
	call := func(name, city string) string {
		args := fmt.Sprintf(`{"city":%q}`, city)
		if name == now.Name {
			args = "{}"
		}
		return fmt.Sprintf(`{"functionCall":{"name":%q,"args":%s},"thoughtSignature":"c2ln"}`, name, args)
	}
	switch {
	case a.Config.Limit == shortest:
		return append(parts, text("1 2 3")), "MAX_TOKENS", ""
	case a.has("functionResponse"):
		return append(parts, text("It is 41.7 degrees.")), "STOP", ""
	case len(a.Tools) > 0 && len(a.Tools[0].Functions) > 0:
		name := a.Tools[0].Functions[0].Name
		if allowed := a.ToolConfig.Calling.Allowed; len(allowed) > 0 {
			return append(parts, call(allowed[0], "Lisbon")), "STOP", ""
		}
		return append(parts, call(name, "Lisbon"), call(name, "Oslo")), "STOP", ""
	case len(a.Tools) > 0:
		return append(parts, text("Go 1.26.")), "STOP", `,"groundingMetadata":{"webSearchQueries":["go"],"groundingChunks":[{"web":{"uri":"https://go.dev/doc","title":"go.dev"}}],` +
			`"groundingSupports":[{"segment":{"startIndex":0,"endIndex":8,"text":"Go 1.26."},"groundingChunkIndices":[0]}]}`
	case a.Config.Type != "":
		return append(parts, text(`{"city":"Lisbon","founded":-1200,"coast":true}`)), "STOP", ""
	case a.has("inlineData"):
		return append(parts, text("Red.")), "STOP", ""
	case len(parts) > 0:
		return append(parts, text("24")), "STOP", ""
	}
	return append(parts, text("pong")), "STOP", ""
}

// fakeGemini answers as generateContent does.
func fakeGemini(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, word, reason string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":"Refused.","status":%q,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":%q}]}}`, status, word, reason)
	}
	var ask geminiAsk
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Header.Get("X-Goog-Api-Key") != fakeKey:
		refuse(http.StatusBadRequest, "INVALID_ARGUMENT", "API_KEY_INVALID")
		return
	case !strings.Contains(r.URL.Path, "/models/gemini-2.5-flash:"):
		refuse(http.StatusNotFound, "NOT_FOUND", "")
		return
	case json.Unmarshal(body, &ask) != nil:
		refuse(http.StatusBadRequest, "INVALID_ARGUMENT", "")
		return
	}
	parts, finish, more := ask.said()
	answer := fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[%s]},"finishReason":%q,"index":0%s}],`+
		`"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":5,"thoughtsTokenCount":3,"totalTokenCount":20},"modelVersion":"gemini-2.5-flash","responseId":"r1"}`,
		strings.Join(parts, ","), finish, more)
	if strings.HasSuffix(r.URL.Path, ":streamGenerateContent") {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: "+answer+"\r\n\r\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

// fakePerplexity answers as the Agent API does: with what it found, and a text that cites it by number.
func fakePerplexity(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer "+fakeKey {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"message":"Invalid API key","type":"invalid_api_key","code":401}}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var ask struct {
		Model  string `json:"model"`
		Limit  int64  `json:"max_output_tokens"`
		Stream bool   `json:"stream"`
	}
	if json.Unmarshal(body, &ask) != nil || ask.Model != "perplexity/sonar" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"model is not supported","type":"invalid_request","code":400}}`)
		return
	}
	state, reason, text := "completed", "null", "pong, as of Go 1.26 [1]"
	if ask.Limit == shortest {
		state, reason, text = "incomplete", `{"reason":"max_output_tokens"}`, "1 2 3"
	}
	search := `{"type":"search_results","queries":["go"],"results":[{"id":1,"title":"Go","url":"https://go.dev/doc","snippet":"Go","date":"2026-02-01","last_updated":"2026-02-01","source":"web"}]}`
	message := fmt.Sprintf(`{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":%q,"annotations":[]}]}`, text)
	whole := fmt.Sprintf(`{"id":"resp_1","object":"response","created_at":1790000000,"status":%q,"incomplete_details":%s,"model":"perplexity/sonar","output":[%s,%s],`+
		`"usage":{"input_tokens":12,"output_tokens":7,"total_tokens":19,"cost":{"currency":"USD","total_cost":0.005}}}`, state, reason, search, message)
	if !ask.Stream {
		_, _ = io.WriteString(w, whole)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(name, members string) {
		_, _ = fmt.Fprintf(w, "event: %s\ndata: {\"type\":%q,%s}\n\n", name, name, members)
	}
	begun := strings.Replace(strings.Replace(whole, `"status":"`+state+`"`, `"status":"in_progress"`, 1), search+","+message, "", 1)
	event("response.created", `"sequence_number":0,"response":`+begun)
	event("response.output_item.added", `"sequence_number":1,"output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"c","name":"search_web","arguments":""}`)
	event("response.output_item.done", `"sequence_number":3,"output_index":0,"item":`+search)
	event("response.output_item.added", `"sequence_number":4,"output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":null}`)
	event("response.output_text.delta", fmt.Sprintf(`"sequence_number":5,"item_id":"msg_1","output_index":1,"content_index":0,"delta":%q`, text))
	event("response.output_text.done", fmt.Sprintf(`"sequence_number":6,"item_id":"msg_1","output_index":1,"content_index":0,"text":%q`, text))
	event("response.output_item.done", `"sequence_number":7,"output_index":1,"item":`+message)
	event("response."+state, `"sequence_number":8,"response":`+whole)
}
