package verify

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/verify/client"
)

// fault is one thing that a gateway does wrong.
type fault struct {
	// finds are the checks that have to find it, by name; "PROTOCOL NAME" is of one protocol.
	finds []string
	put   func(f *fake)
}

// onReply breaks replies of a path.
func onReply(path string, change func(r *http.Request, w *recorder)) func(*fake) {
	return func(f *fake) {
		f.breakReply = func(r *http.Request, w *recorder) {
			if r.URL.Path == path || path == "" {
				change(r, w)
			}
		}
	}
}

// replaced breaks the bytes of every reply.
func replaced(old, with string) func(*fake) {
	return onReply("", func(_ *http.Request, w *recorder) { w.set(bytes.ReplaceAll(w.body.Bytes(), []byte(old), []byte(with))) })
}

func (w *recorder) set(body []byte) {
	body = bytes.Clone(body)
	w.body.Reset()
	_, _ = w.body.Write(body)
}

// header breaks a header of every reply.
func header(name, value string) func(*fake) {
	return onReply("", func(_ *http.Request, w *recorder) {
		if w.header.Get(name) != "" {
			w.header.Set(name, value)
		}
	})
}

// answers breaks what the model says.
func answers(change func(p *chat.Prompt, a *chat.Answer)) func(*fake) {
	return func(f *fake) { f.breakAnswer = change }
}

// used breaks what the answer is told to have used.
func used(change func(p *chat.Prompt, u *pricing.Usage)) func(*fake) {
	return func(f *fake) { f.breakUsage = change }
}

// says breaks the text.
func says(text string) func(*fake) {
	return answers(func(_ *chat.Prompt, a *chat.Answer) { firstText(a, text) })
}

// calls breaks the first call.
func callsWith(change func(*chat.ToolCall)) func(*fake) {
	return answers(func(_ *chat.Prompt, a *chat.Answer) { firstCall(a, change) })
}

// statusOf breaks the status of what had another.
func statusOf(from, to int) func(*fake) {
	return onReply("", func(_ *http.Request, w *recorder) {
		if w.status == from {
			w.status = to
		}
	})
}

var faults = map[string]fault{
	"health is no JSON":            {[]string{"health without a key"}, onReply(healthPath, func(_ *http.Request, w *recorder) { w.set([]byte("ok")) })},
	"health is something else":     {[]string{"health without a key"}, onReply(healthPath, func(_ *http.Request, w *recorder) { w.set([]byte(`{"status":"ok","service":"other"}`)) })},
	"no key is let in":             {[]string{"no key"}, statusOf(401, 200)},
	"401 is 403":                   {[]string{"no key", "malformed key", "unknown key"}, statusOf(401, 403)},
	"refusals are of another type": {[]string{"no key", "malformed key", "unknown key"}, replaced(`"authentication_error"`, `"error"`)},
	"refusals repeat the key":      {[]string{"malformed key"}, replaced("there is no such key", brokenKey)},
	"any key is let in":            {[]string{"unknown key"}, func(f *fake) { f.breakKey = unknownKey }},
	"errors are pages":             {[]string{"no key", "unknown model", "broken JSON", "unknown path", "nobody else's receipt"}, replaced(`{"`, `<html>`)},
	"errors have no code":          {[]string{"chat.completions no key", "responses unknown model", "unknown path"}, replaced(`"code":`, `"kode":`)},
	"errors have no request id":    {[]string{"no key", "unknown model", "request ids", "wrong method"}, onReply("", func(_ *http.Request, w *recorder) { w.header.Del("X-Layers-Request-Id") })},
	"X-Api-Key is not read":        {[]string{"key in X-Api-Key"}, keyless("X-Api-Key")},
	"Api-Key is not read":          {[]string{"key in Api-Key"}, keyless("Api-Key")},
	"Authorization is not read":    {[]string{"key in Authorization", "model list"}, keyless("Authorization")},
	"the scheme is case-sensitive": {[]string{"key with a scheme in caps"}, onReply(modelsPath, func(r *http.Request, w *recorder) {
		if strings.HasPrefix(r.Header.Get("Authorization"), "BEARER") {
			w.status = http.StatusUnauthorized
		}
	})},
	"the list is empty":              {[]string{"model list"}, replaced(`"data":[{"id"`, `"data":[],"x":[{"id"`)},
	"models have no object":          {[]string{"model list"}, replaced(`"object":"model"`, `"object":"thing"`)},
	"another model is shown":         {[]string{"model by name"}, onReply(modelsPath+"/"+fakeModel, func(_ *http.Request, w *recorder) { w.set([]byte(`{"id":"x","object":"model"}`)) })},
	"the list is OpenAI's":           {[]string{"model list in Anthropic's shape"}, replaced(`"first_id"`, `"first"`)},
	"names are not shown":            {[]string{"model list in Anthropic's shape"}, replaced(`"display_name"`, `"name"`)},
	"404 is 400":                     {[]string{"unknown model", "unknown model by name", "unknown path", "nobody else's receipt"}, statusOf(404, 400)},
	"400 is 500":                     {[]string{"broken JSON", "no model", "no messages", "no input", "wrong type", "member twice", "stored conversation", "without Tools", "without Vision", "without JSON", "without Thinking", "without WebSearch"}, statusOf(400, 500)},
	"params are missing":             {[]string{"chat.completions no model", "responses wrong type", "chat.completions member twice", "responses stored conversation"}, replaced(`"param":"`, `"param":"x`)},
	"refusals do not say what":       {[]string{"without Tools", "without Vision", "without JSON", "without Thinking", "without WebSearch"}, mute},
	"the client's id is lost":        {[]string{"request ids"}, header("X-Request-Id", "other")},
	"405 without Allow":              {[]string{"wrong method"}, onReply("", func(_ *http.Request, w *recorder) { w.header.Del("Allow") })},
	"405 is 404":                     {[]string{"wrong method"}, statusOf(405, 404)},
	"nothing is counted":             {[]string{"token count"}, replaced(`"input_tokens":8}`, `"input_tokens":0}`)},
	"the estimate holds too little":  {[]string{"estimate"}, replaced(`"hold":{"credits":"1","usd":"0.01"}`, `"hold":{"credits":"1","usd":"0.00001"}`)},
	"the estimate admits nothing":    {[]string{"estimate"}, replaced(`"admitted":true`, `"admitted":false`)},
	"the list has another price":     {[]string{"prices as listed"}, replaced(`{"input":1,`, `{"input":2,`)},
	"the list has no price":          {[]string{"prices as listed"}, replaced(`pricing_per_million`, `x`)},
	"no balance":                     {[]string{"balance"}, header("X-Layers-Balance", "")},
	"costs are more than the wallet": {[]string{"balance"}, header("X-Layers-Cost", "501")},
	"the header has another cost":    {[]string{"cost and receipt"}, header("X-Layers-Cost", "1")},
	"the usage has another cost":     {[]string{"cost and receipt", "cost and receipt, streamed"}, replaced(`"cost":0.`, `"cost":1.`)},
	"the usage has no cost":          {[]string{"cost and receipt", "cost and receipt, streamed"}, replaced(`"cost":0.`, `"kost":0.`)},
	"the receipt has another charge": {[]string{"cost and receipt"}, replaced(`"charge":{"credits":"0`, `"charge":{"credits":"1`)},
	"more is charged than it costs":  {[]string{"cost and receipt", "cost and receipt, streamed"}, overcharged},
	"the receipt has other tokens":   {[]string{"cost and receipt", "cost and receipt, streamed"}, replaced(`"tokens":{"input":1`, `"tokens":{"input":9`)},
	"the receipt is of nobody":       {[]string{"cost and receipt", "cost and receipt, streamed"}, replaced(`"usage.receipt"`, `"receipt"`)},
	"the receipt has no transaction": {[]string{"cost and receipt", "cost and receipt, streamed"}, replaced(`"tx_1"`, `""`)},
	"receipts never come":            {[]string{"cost and receipt", "cost and receipt, streamed"}, func(f *fake) { f.receipts = nil; f.breakReply = forgetReceipts(f) }},
	"anybody's receipt is there":     {[]string{"nobody else's receipt"}, onReply(usagePath+"req_layers-verify", func(_ *http.Request, w *recorder) { w.status = 200 })},
	"more remains than the limit":    {[]string{"rate limits"}, header("x-ratelimit-remaining-requests", "100001")},
	"the reset is no duration":       {[]string{"rate limits"}, header("x-ratelimit-reset-tokens", "12")},
	"the reset is long ago":          {[]string{"rate limits"}, header("X-RateLimit-Reset", "60")},
	"the headers disagree":           {[]string{"rate limits"}, header("X-RateLimit-Remaining", "1")},

	"another text":            {[]string{"text", "text, streamed", "image", "tool results", "JSON object", "JSON schema", "thinking", "thinking across a tool call"}, says("hello")},
	"no text":                 {[]string{"web search", "web search, streamed", "text", "JSON object, streamed"}, says("")},
	"another finish":          {[]string{"text", "length", "image", "forced tool", "tool results", "web search", "JSON schema, streamed"}, answers(func(_ *chat.Prompt, a *chat.Answer) { a.Choices[0].Reason = chat.FinishFilter })},
	"tools end as text":       {[]string{"chat.completions forced tool", "messages tool without arguments, streamed", "chat.completions parallel tools", "messages tool results"}, endless},
	"limits are not kept":     {[]string{"length", "length, streamed"}, used(func(p *chat.Prompt, u *pricing.Usage) { u.Output += 40 })},
	"no usage":                {[]string{"text", "text, streamed", "image", "cost and receipt"}, used(func(_ *chat.Prompt, u *pricing.Usage) { *u = pricing.Usage{} })},
	"another tool":            {[]string{"forced tool", "tool without arguments", "parallel tools, streamed", "tool results"}, callsWith(func(c *chat.ToolCall) { c.Name = "other" })},
	"arguments are no JSON":   {[]string{"chat.completions forced tool", "responses parallel tools"}, callsWith(func(c *chat.ToolCall) { c.Arguments = `{"city":` })},
	"arguments break schemas": {[]string{"forced tool", "forced tool, streamed", "parallel tools"}, callsWith(func(c *chat.ToolCall) { c.Arguments = `{"town":"x"}` })},
	"one id for two calls": {[]string{"parallel tools", "parallel tools, streamed"}, answers(func(_ *chat.Prompt, a *chat.Answer) {
		for _, part := range a.Choices[0].Parts {
			if part.Call != nil {
				part.Call.ID = "toolu_0"
			}
		}
	})},
	"no arguments are nothing": {[]string{"chat.completions tool without arguments", "chat.completions tool without arguments, streamed", "responses tool without arguments"},
		onReply("", func(_ *http.Request, w *recorder) {
			w.set([]byte(strings.NewReplacer(`"arguments":"{}"`, `"arguments":""`).Replace(w.body.String())))
		})},
	"JSON is fenced":           {[]string{"JSON object", "JSON object, streamed", "JSON schema", "JSON schema, streamed"}, fenced},
	"a schema is not followed": {[]string{"JSON schema", "JSON schema, streamed"}, says(`{"city":"Lisbon","founded":"long ago","coast":true}`)},
	"thoughts are dropped": {[]string{"thinking", "thinking, streamed", "thinking across a tool call"}, func(f *fake) {
		f.breakAnswer = func(_ *chat.Prompt, a *chat.Answer) {
			a.Choices[0].Parts = slices.DeleteFunc(a.Choices[0].Parts, func(p chat.Part) bool { return p.Kind == chat.PartThought })
		}
		f.breakUsage = func(_ *chat.Prompt, u *pricing.Usage) { u.Reasoning = 0 }
	}},
	"nothing is cited": {[]string{"web search", "web search, streamed"}, answers(func(_ *chat.Prompt, a *chat.Answer) {
		for i := range a.Choices[0].Parts {
			a.Choices[0].Parts[i].Citations = nil
		}
	})},
	"citations lead nowhere": {[]string{"web search", "web search, streamed"}, replaced("https://go.dev", "source-1")},
	"caches never hit":       {[]string{"chat.completions prompt cache", "messages prompt cache"}, used(func(_ *chat.Prompt, u *pricing.Usage) { u.CacheRead = 0 })},
	"caches always hit":      {[]string{"prompt cache"}, used(func(_ *chat.Prompt, u *pricing.Usage) { u.CacheRead += 10 })},

	"streams are JSON":          {[]string{"text, streamed", "usage only when asked"}, replaced("data: ", "")},
	"streams are not announced": {[]string{"text, streamed", "JSON schema, streamed", "usage only when asked"}, header("Content-Type", "application/json")},
	"streams have no end":       {[]string{"text, streamed", "length, streamed", "usage only when asked", "cost and receipt, streamed"}, cut},
	"usage comes unasked":       {[]string{"usage only when asked"}, func(f *fake) { f.breakReply = usageAlways }},
	"the role is missing":       {[]string{"chat.completions text, streamed"}, replaced(`"role":"assistant"`, `"rule":"assistant"`)},
	"tool indexes are blocks'":  {[]string{"chat.completions forced tool, streamed"}, replaced(`"tool_calls":[{"index":0`, `"tool_calls":[{"index":1`)},
	"event lines are missing":   {[]string{"messages text, streamed", "responses text, streamed"}, replaced("event: ", ": ")},
	"block indexes have gaps":   {[]string{"messages thinking, streamed"}, replaced(`"index":1`, `"index":2`)},
	"numbers do not grow":       {[]string{"responses text, streamed"}, replaced(`"sequence_number":3`, `"sequence_number":1`)},
	"vectors are short":         {[]string{"vectors"}, replaced(`[0.5,-0.25]}]`, `[]}]`)},
	"vectors are out of order":  {[]string{"vectors", "vectors in base64"}, replaced(`"index":1,"embedding"`, `"index":0,"embedding"`)},
	"vectors are not floats":    {[]string{"vectors in base64"}, replaced(`AAAAPwAAgL4=`, `AAAA`)},
}

// mute takes the reason out of refusals.
func mute(f *fake) {
	f.breakReply = func(_ *http.Request, w *recorder) {
		if w.status == http.StatusBadRequest {
			w.set([]byte(`{"error":{"message":"No.","type":"invalid_request_error","param":"x","code":"unsupported_capability"}}`))
		}
	}
}

// overcharged makes receipts say so.
func overcharged(f *fake) {
	f.breakReply = func(r *http.Request, w *recorder) {
		if body := w.body.String(); strings.HasPrefix(r.URL.Path, usagePath) && w.status == http.StatusOK {
			i := strings.LastIndex(body, `"usd":"`) + len(`"usd":"`)
			w.set([]byte(body[:i] + "1" + body[i:]))
		}
	}
}

// endless has answers end as if no tool had been called.
func endless(f *fake) {
	f.breakReply = func(_ *http.Request, w *recorder) {
		w.set([]byte(strings.NewReplacer(`"finish_reason":"tool_calls"`, `"finish_reason":"stop"`, `"stop_reason":"tool_use"`, `"stop_reason":"end_turn"`).Replace(w.body.String())))
	}
}

// keyless forgets one of the headers that a key may be in.
func keyless(name string) func(*fake) {
	return onReply("", func(r *http.Request, w *recorder) {
		if r.Header.Get(name) != "" {
			w.status = http.StatusUnauthorized
		}
	})
}

func forgetReceipts(f *fake) func(*http.Request, *recorder) {
	f.receipts = map[string]string{}
	return func(*http.Request, *recorder) {
		f.mu.Lock()
		defer f.mu.Unlock()
		clear(f.receipts)
	}
}

// fenced puts JSON between fences, as models do that were not held to it.
func fenced(f *fake) {
	f.breakAnswer = func(p *chat.Prompt, a *chat.Answer) {
		if p.Format != nil {
			a.Choices[0].Parts[0].Text = "```json\n" + a.Choices[0].Parts[0].Text + "\n```"
		}
	}
}

// cut drops the last event of streams.
func cut(f *fake) {
	f.breakReply = func(_ *http.Request, w *recorder) {
		if body := w.body.String(); strings.HasPrefix(w.header.Get("Content-Type"), "text/event-stream") {
			all := strings.SplitAfter(body, "\n\n")
			w.set([]byte(strings.Join(all[:len(all)-2], "")))
		}
	}
}

// usageAlways puts a chunk with usage into streams of chat completions that did not ask.
func usageAlways(r *http.Request, w *recorder) {
	stream := w.status == http.StatusOK && strings.Contains(w.body.String(), "[DONE]")
	if r.URL.Path == (client.Completions{}).Path() && stream && !strings.Contains(w.body.String(), `"prompt_tokens"`) {
		id := w.body.String()[strings.Index(w.body.String(), `"id":"`):]
		id = id[:strings.Index(id, ",")]
		chunk := fmt.Sprintf(`data: {%s,"object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, id)
		w.set(bytes.Replace(w.body.Bytes(), []byte("data: [DONE]"), []byte(chunk+"\n\ndata: [DONE]"), 1))
	}
}

// found are the failed checks as a fault names them, with and without their protocol.
func found(r Report) map[string]bool {
	out := map[string]bool{}
	for _, c := range failed(r) {
		out[c.Check], out[c.Protocol+" "+c.Check] = true, true
	}
	return out
}

// TestFaults: each fault is found by the checks that are there for it, and each check finds some fault, in each protocol.
func TestFaults(t *testing.T) {
	f := newFake()
	open := map[string]bool{}
	for _, c := range askFake(t, f, fakeOptions(f)).Checks {
		if c.Outcome == Passed {
			open[c.Protocol+" "+c.Check] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			faults[name].put(f)
			r := askFake(t, f, fakeOptions(f))
			hits := found(r)
			for _, check := range faults[name].finds {
				if !hits[check] {
					t.Errorf("%q does not find it", check)
				}
			}
			for hit := range hits {
				delete(open, hit)
			}
			for _, c := range failed(r) {
				if c.Expected == "" || c.Got == "" || strings.Contains(c.Got, fakeKey) {
					t.Errorf("%q says nothing, or too much: %+v", c.Check, c)
				}
			}
		})
	}
	if !t.Failed() {
		for _, check := range slices.Sorted(maps.Keys(open)) {
			t.Errorf("no fault makes %q fail", check)
		}
	}
}
