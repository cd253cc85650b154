package responses

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

const (
	created   = `{"type":"response.created","response":{"id":"resp_1","model":"m","output":[]}}`
	completed = `{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":10,"output_tokens":5}}}`
)

var someUsage = &pricing.Usage{Input: 10, Output: 5}

func TestStreams(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		want   view
	}{
		"deltas and their repetition": {
			[]string{created,
				`{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"msg","content":[]}}`,
				`{"type":"response.content_part.added","output_index":0,"content_index":0,"part":{"type":"output_text","text":""}}`,
				`{"type":"keepalive","sequence_number":2}`, ` `,
				`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"a"}`,
				`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"b","logprobs":[{"token":"b"}]}`,
				`{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"ab"}`,
				`{"type":"response.content_part.done","output_index":0,"content_index":0,"part":{"type":"output_text","text":"ab"}}`,
				`{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"ab"}]}}`,
				`{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"ab"}]}],"usage":{"input_tokens":10,"output_tokens":5}}}`},
			view{Text: "ab", Logprobs: 1},
		},
		"no deltas": {
			[]string{created,
				`{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"ab"}`,
				`{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}}`,
				completed},
			view{Text: "ab", Calls: []viewCall{{"c", "f", "{}"}}, Finish: chat.FinishTools},
		},
		"the end alone": {
			[]string{`{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"e"},{"type":"message","content":[{"type":"output_text","text":"ab","annotations":[{"type":"url_citation","url":"u","start_index":0,"end_index":2}]}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":1}"}],"usage":{"input_tokens":10,"output_tokens":5}}}`},
			view{Text: "ab", Reasoning: "t", Encrypted: []string{"e"}, Calls: []viewCall{{"c", "f", `{"a":1}`}}, Citations: []viewCitation{{"u", 0, 2}}, Finish: chat.FinishTools},
		},
		"arguments: empty deltas, and none": {
			[]string{created,
				`{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"f","arguments":""}}`,
				`{"type":"response.function_call_arguments.delta","output_index":0,"delta":""}`,
				`{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{}"}`,
				`{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}}`,
				`{"type":"response.output_item.added","output_index":1,"item":{"type":"custom_tool_call","call_id":"d","name":"g","input":""}}`,
				`{"type":"response.custom_tool_call_input.delta","output_index":1,"delta":"x"}`,
				`{"type":"response.custom_tool_call_input.done","output_index":1,"input":"x"}`,
				completed},
			view{Calls: []viewCall{{"c", "f", "{}"}, {"d", "g", "x"}}, Finish: chat.FinishTools},
		},
		"calls side by side": {
			[]string{created,
				`{"type":"response.output_item.added","output_index":3,"item":{"type":"function_call","call_id":"c","name":"f"}}`,
				`{"type":"response.output_item.added","output_index":5,"item":{"type":"function_call","call_id":"d","name":"g"}}`,
				`{"type":"response.function_call_arguments.delta","output_index":3,"delta":"1"}`,
				`{"type":"response.function_call_arguments.delta","output_index":5,"delta":"2"}`,
				`{"type":"response.function_call_arguments.delta","output_index":3,"delta":"3"}`,
				completed},
			view{Calls: []viewCall{{"c", "f", "13"}, {"d", "g", "2"}}, Finish: chat.FinishTools},
		},
		"summaries": {
			[]string{created,
				`{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[]}}`,
				`{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"a"}`,
				`{"type":"response.reasoning_summary_text.done","output_index":0,"summary_index":0,"text":"a"}`,
				`{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"b"}`,
				`{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"c"}`,
				`{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[{"text":"a"},{"text":"bc"}],"encrypted_content":"e"}}`,
				`{"type":"response.reasoning_text.delta","output_index":1,"content_index":0,"delta":"open"}`,
				completed},
			view{Reasoning: "a\n\nbcopen", Encrypted: []string{"e"}},
		},
		"a refusal": {
			[]string{created,
				`{"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"n"}`,
				`{"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":"o"}`,
				`{"type":"response.refusal.done","output_index":0,"content_index":0,"refusal":"no"}`,
				completed},
			view{Refusal: "no", Finish: chat.FinishStop},
		},
		"too long": {
			[]string{created, `{"type":"response.incomplete","response":{"id":"resp_1","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[],"usage":{"input_tokens":10,"output_tokens":5}}}`},
			view{Finish: chat.FinishLength},
		},
		"filtered": {
			[]string{created, `{"type":"response.incomplete","response":{"id":"resp_1","status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[],"usage":{"input_tokens":10,"output_tokens":5}}}`},
			view{Finish: chat.FinishFilter},
		},
		"citations, one late": {
			[]string{created,
				`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"ab\ud83d\ude00"}`,
				`{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation":{"type":"url_citation","url":"u","start_index":0,"end_index":2}}`,
				`{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation":{"type":"file_citation","file_id":"f"}}`,
				`{"type":"response.content_part.done","output_index":0,"content_index":0,"part":{"type":"output_text","text":"ab","annotations":[{"type":"url_citation","url":"u","start_index":0,"end_index":2},{"type":"file_citation"},{"type":"url_citation","url":"v","start_index":1,"end_index":2}]}}`,
				`{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"cd"}`,
				`{"type":"response.output_text.annotation.added","output_index":1,"content_index":0,"annotation":{"type":"url_citation","url":"w","start_index":1,"end_index":2}}`,
				completed},
			// The second message's text goes on where the first one's ended.
			view{Text: "ab😀cd", Citations: []viewCitation{{"u", 0, 2}, {"v", 1, 2}, {"w", 5, 6}}},
		},
		"things unknown": {
			[]string{created, `{"type":"response.mcp_call.completed","output_index":0}`, `{"type":"response.output_item.done","output_index":0,"item":{"type":"image_generation_call"}}`, `{}`, `{"type":7}`, completed},
			view{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			body := eventsOf(c.events...)
			got, err := replay(t, Dialect{}, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			c.want.ID, c.want.Usage = "resp_1", someUsage
			if c.want.Finish == "" {
				c.want.Finish = chat.FinishStop
			}
			if d := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			for name, r := range splits([]byte(body)) {
				again, err := replay(t, Dialect{}, r)
				if d := cmp.Diff(got, again); d != "" || err != nil {
					t.Fatal(name, d, err)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	delta := `{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"a"}`
	for name, c := range map[string]struct {
		body, code string
		status     int
	}{
		"error":             {eventsOf(created, `{"type":"error","error":{"type":"server_error","code":"server_error","message":"x"}}`), "server_error", 502},
		"error, flat":       {eventsOf(created, `{"type":"error","code":"rate_limit_exceeded","message":"slow","param":null}`), "rate_limit_exceeded", 429},
		"failed":            {eventsOf(created, `{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}}`), "rate_limit_exceeded", 429},
		"failed, beside":    {eventsOf(created, `{"type":"response.failed","error":{"code":"overloaded_error","message":"busy"}}`), "overloaded_error", 503},
		"failed, an image":  {eventsOf(created, `{"type":"response.failed","response":{"error":{"code":"image_parse_error","message":"x"}}}`), "image_parse_error", 400},
		"failed, no reason": {eventsOf(created, `{"type":"response.failed","response":{}}`), "upstream_error", 502},
		"failed after text": {eventsOf(created, delta, `{"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}`), "server_error", 502},
		"cut off":           {eventsOf(created, delta), "upstream_incomplete", 502},
		"cut in an event":   {eventsOf(created, delta) + "data: {\"type\":\"resp", "upstream_incomplete", 502},
		"nothing":           {"", "upstream_incomplete", 502},
		"not JSON":          {"data: hello\n\n", "upstream_invalid_response", 502},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pass := range []bool{false, true} {
				s := Dialect{}.Stream(transport.Replay(io.NopCloser(strings.NewReader(c.body)), true), pass)
				var err error
				for err == nil {
					var e chat.Event
					if e, err = s.Next(); e.Err != nil {
						err = e.Err
					}
				}
				_ = s.Close()
				var e *chat.Error
				if !errors.As(err, &e) || e.Code != c.code || e.Status != c.status {
					t.Errorf("pass %v: got %v", pass, err)
				}
			}
		})
	}
}

func TestUnaryFailures(t *testing.T) {
	for body, code := range map[string]string{
		`{"output":[],"error":{"code":"server_error","message":"x"}}`: "server_error",
		`{"output":[],"status":"failed"}`:                             "upstream_error",
		`{"output":[],"status":"queued"}`:                             "upstream_invalid_response",
		`{"object":"list"}`:                                           "upstream_invalid_response",
		`{"output":[`:                                                 "upstream_invalid_response",
		`[]`:                                                          "upstream_invalid_response",
	} {
		_, err := Dialect{}.Unary(transport.Replay(io.NopCloser(strings.NewReader(body)), false), false)
		var e *chat.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: got %v", body, err)
		}
	}
}

func TestUsage(t *testing.T) {
	for in, want := range map[string]*pricing.Usage{
		`{}`:                           nil,
		`{"usage":null}`:               nil,
		`{"usage":{"input_tokens":1}}`: nil,
		`{"usage":{"input_tokens":-1,"output_tokens":1}}`: nil,
		`{"usage":{"input_tokens":0,"output_tokens":0}}`:  {},
		`{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":3},"output_tokens_details":{"reasoning_tokens":2}}}`:                                                                                                              {Input: 3, CacheRead: 4, CacheWrite: 3, Output: 5, Reasoning: 2},
		`{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":40,"cache_write_tokens":3},"output_tokens_details":{"reasoning_tokens":7}}}`:                                                                                                             {CacheRead: 10, Output: 12, Reasoning: 7},
		`{"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cache_read_input_tokens":4,"cached_tokens":4,"cache_creation_input_tokens":1},"tool_calls_details":{"search_web":{"invocation":2},"fetch_url":{"invocation":9}}},"output":[{"type":"search_results"}]}`: {Input: 5, CacheRead: 4, CacheWrite: 1, Output: 5, Searches: 2},
		`{"usage":{"input_tokens":1,"output_tokens":1},"output":[{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},{"type":"web_search_call"}]}`:                                                                           {Input: 1, Output: 1, Searches: 2},
		`{"usage":{"input_tokens":1,"output_tokens":1},"tool_usage":{"web_search":{"num_requests":3}},"output":[{"type":"web_search_call"}]}`:                                                                                                                                           {Input: 1, Output: 1, Searches: 3},
	} {
		if d := cmp.Diff(want, Usage([]byte(in))); d != "" {
			t.Errorf("%s: %s", in, d)
		}
	}
}
