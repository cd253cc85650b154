package wire

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// own are short exchanges written for the project, as the providers' protocols have them: every check has something to look
// at in a plain checkout too.
func own(t testing.TB) []Case {
	t.Helper()
	stream := func(named bool, data ...string) string {
		var b strings.Builder
		for _, d := range data {
			var e struct{ Type string }
			if named && json.Unmarshal([]byte(d), &e) == nil {
				b.WriteString("event: " + e.Type + "\n")
			}
			b.WriteString("data: " + d + "\n\n")
		}
		return b.String()
	}
	cases := []Case{
		{ID: "own-messages-tool-s", Provider: "anthropic", API: "messages", Model: "claude-sonnet-5", Stream: true, Status: 200, Body: []byte(stream(true,
			`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"cache_read_input_tokens":100,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
			`{"type":"ping"}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Bern – "}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"ask."}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2lnbmF0dXJl+/=="}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"cmVkYWN0ZWQ="}}`,
			`{"type":"content_block_stop","index":1}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"I look <there> 🌤"}}`,
			`{"type":"content_block_stop","index":2}`,
			`{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}`,
			`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}`,
			`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Be"}}`,
			`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"rn\",\"big\":12345678901234567890}"}}`,
			`{"type":"content_block_stop","index":3}`,
			`{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}}`,
			`{"type":"content_block_stop","index":4}`,
			`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":40,"output_tokens_details":{"thinking_tokens":12}}}`,
			`{"type":"message_stop"}`))},
		{ID: "own-messages-search-n", Provider: "anthropic", API: "messages", Model: "claude-sonnet-5", Status: 200, Body: []byte(`{"id":"msg_2","type":"message","role":"assistant","model":"claude-sonnet-5","content":[
			{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}},
			{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result","url":"https://a.example/","title":"A","encrypted_content":"e"}]},
			{"type":"text","text":"Überall: "},{"type":"text","text":"it is so","citations":[{"type":"web_search_result_location","url":"https://a.example/","title":"A","cited_text":"so","encrypted_index":"i"}]},{"type":"text","text":"."}],
			"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":8,"server_tool_use":{"web_search_requests":2}}}`)},
		{ID: "own-messages-error-n", Provider: "anthropic", API: "messages", Status: 529, Body: []byte(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)},
		{ID: "own-gemini-tools-s", Provider: "gemini", API: "streamGenerateContent", Model: "gemini-3-flash-preview", Stream: true, Status: 200, Body: []byte(strings.ReplaceAll(stream(false,
			`{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":13,"thoughtsTokenCount":2},"responseId":"r1"}`,
			`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"weather","args":{"city":"Bern"},"id":"f1"},"thoughtSignature":"c2ln"},{"functionCall":{"name":"weather","args":{"city":"Basel"},"id":"f2"}}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":13}}`,
			`{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":11,"cachedContentTokenCount":4,"candidatesTokenCount":6,"thoughtsTokenCount":2,"totalTokenCount":19},"responseId":"r1"}`,
		), "\n", "\r\n"))},
		{ID: "own-gemini-grounding-n", Provider: "gemini", API: "generateContent", Model: "gemini-3-flash-preview", Status: 200, Body: []byte(`{"candidates":[{"content":{"parts":[{"text":"Zürich: sunny."}],"role":"model"},"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["z"],"groundingChunks":[{"web":{"uri":"https://b.example/","title":"B"}}],"groundingSupports":[{"segment":{"startIndex":9,"endIndex":14,"text":"sunny"},"groundingChunkIndices":[0]}]}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":4,"totalTokenCount":9}}`)},
		{ID: "own-gemini-error-n", Provider: "gemini", API: "generateContent", Status: 400, Body: []byte(`{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}`)},
		{ID: "own-chat-tools-s", Provider: "openai", API: "chat", Model: "gpt-4o", Stream: true, Status: 200, Body: []byte(stream(false,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"finish_reason":null}],"usage":null,"obfuscation":"x"}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]},"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":null}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":9,"total_tokens":39,"prompt_tokens_details":{"cached_tokens":10},"completion_tokens_details":{"reasoning_tokens":3}}}`,
			`[DONE]`))},
		{ID: "own-chat-refusal-n", Provider: "openai", API: "chat", Model: "gpt-4o", Status: 200, Body: []byte(`{"id":"c2","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"No."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)},
		{ID: "own-chat-error-n", Provider: "openai", API: "chat", Status: 400, Body: []byte(`{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`)},
		{ID: "own-responses-thought-n", Provider: "openai", API: "responses", Model: "gpt-5.4", Status: 200, Body: []byte(`{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-5.4","output":[
			{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"One"},{"type":"summary_text","text":"two"}],"encrypted_content":"gAAA"},
			{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{\"a\":1}","status":"completed"}],
			"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":5},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":27}}`)},
		{ID: "own-responses-text-s", Provider: "openai", API: "responses", Model: "gpt-5.4", Stream: true, Status: 200, Body: []byte(stream(true,
			`{"type":"response.created","sequence_number":0,"response":{"id":"resp_2","object":"response","status":"in_progress","output":[]}}`,
			`{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_2","object":"response","status":"in_progress","output":[]}}`,
			`{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}`,
			`{"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","annotations":[],"text":""}}`,
			`{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"It is "}`,
			`{"type":"keepalive","sequence_number":5}`,
			`{"type":"response.output_text.delta","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"so."}`,
			`{"type":"response.output_text.annotation.added","sequence_number":7,"item_id":"msg_1","output_index":0,"content_index":0,"annotation_index":0,"annotation":{"type":"url_citation","start_index":6,"end_index":8,"url":"https://c.example/","title":"C"}}`,
			`{"type":"response.output_text.done","sequence_number":8,"item_id":"msg_1","output_index":0,"content_index":0,"text":"It is so."}`,
			`{"type":"response.content_part.done","sequence_number":9,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"It is so.","annotations":[{"type":"url_citation","start_index":6,"end_index":8,"url":"https://c.example/","title":"C"}]}}`,
			`{"type":"response.output_item.done","sequence_number":10,"output_index":0,"item":{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"It is so.","annotations":[{"type":"url_citation","start_index":6,"end_index":8,"url":"https://c.example/","title":"C"}]}]}}`,
			`{"type":"response.completed","sequence_number":11,"response":{"id":"resp_2","object":"response","status":"completed","output":[{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"It is so.","annotations":[{"type":"url_citation","start_index":6,"end_index":8,"url":"https://c.example/","title":"C"}]}]}],"usage":{"input_tokens":4,"output_tokens":3,"total_tokens":7}}}`))},
	}
	for i := range cases {
		cases[i].Tier = "own"
		cases[i].Header = http.Header{}
	}
	return cases
}

// Each of the project's own exchanges is read without fault; changed, each fault is found.
func TestProblems(t *testing.T) {
	read := func(c Case, body string) []string {
		var problems []string
		switch c.API {
		case "messages":
			_, problems = Messages(c.Status, c.Stream, []byte(body))
		case "chat":
			_, problems = Completions(c.Status, c.Stream, []byte(body))
		case "responses":
			_, problems = Responses(c.Status, c.Stream, []byte(body))
		}
		return problems
	}
	faults := map[string]map[string]string{
		"own-messages-tool-s": {
			`"index":2,"delta"`: `"index":1,"delta"`, "event: ping": "event: pong", `"stop_reason":"tool_use"`: `"stop_reason":"end_turn"`,
			`event: content_block_stop` + "\n" + `data: {"type":"content_block_stop","index":0}` + "\n\n": "", `"text_delta"`: `"thinking_delta"`,
			`"usage":{"input_tokens":7`: `"used":{"input_tokens":7`, `"usage":{"output_tokens":40,`: `"usage":{"x":40,`,
			`event: message_stop` + "\n" + `data: {"type":"message_stop"}`: "", `rn\",`: `rn`,
		},
		"own-chat-tools-s": {
			`"role":"assistant",`: "", `"index":1,"id":"call_b"`: `"index":3,"id":"call_b"`, `"id":"call_b",`: "", "data: [DONE]": "",
			`"finish_reason":"tool_calls"`: `"finish_reason":null`, `"choices":[],"usage"`: `"choices":[{"index":0,"delta":{}}],"usage"`,
			`{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],`: `{"id":"c2","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],`,
		},
		"own-responses-text-s": {
			`"sequence_number":6,`: `"sequence_number":4,`, `"delta":"so."`: `"delta":"no."`, "event: response.completed": "event: response.complete",
			`"type":"response.output_item.done"`: `"type":"response.output_item.gone"`, `"sequence_number":7,`: "", `"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress"`: `"output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress"`,
			`"text":"It is so.","annotations":[{"type":"url_citation","start_index":6,"end_index":8,"url":"https://c.example/","title":"C"}]}]}],"usage"`: `"text":"It is.","annotations":[]}]}],"usage"`,
		},
		"own-chat-refusal-n":      {`"role":"assistant",`: "", `"finish_reason":"stop"`: `"finish_reason":"tool_calls"`, `"chat.completion"`: `"completion"`},
		"own-responses-thought-n": {`"status":"completed","model"`: `"status":"done","model"`, `"call_id":"call_1",`: ""},
		"own-messages-error-n":    {`"overloaded_error"`: `""`},
		"own-chat-error-n":        {`"type":"invalid_request_error",`: ""},
	}
	for _, c := range own(t) {
		if problems := read(c, string(c.Body)); problems != nil {
			t.Errorf("%s: %v", c.ID, problems)
		}
		for from, to := range faults[c.ID] {
			body := strings.Replace(string(c.Body), from, to, 1)
			if body == string(c.Body) {
				t.Errorf("%s has no %s", c.ID, from)
			} else if read(c, body) == nil {
				t.Errorf("%s: %q for %q is found right", c.ID, to, from)
			}
		}
		delete(faults, c.ID)
	}
	for id := range faults {
		t.Errorf("there is no %s", id)
	}
}
