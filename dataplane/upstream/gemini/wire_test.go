package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API, Tier, Model string
	Stream                         bool
	Status                         int
	Files                          struct {
		Request string `json:"request_body"`
		Body    string `json:"response_body"`
	}
	request, body []byte
}

// recorded are the exchanges with generateContent and streamGenerateContent.
func recorded(t *testing.T) []recording {
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all, out []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		if name == "" {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(recordings, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, r := range all {
		if r.Provider == "gemini" && strings.HasSuffix(strings.ToLower(r.API), "generatecontent") && r.Files.Body != "" {
			r.request, r.body = read(r.Files.Request), read(r.Files.Body)
			out = append(out, r)
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

// The recorded shapes, read with plain encoding/json.
type (
	wireAnswer struct {
		Candidates []struct {
			Index   int64
			Content struct {
				Parts []struct {
					Text             *string
					Thought          bool
					ThoughtSignature string
					FunctionCall     *struct {
						ID, Name string
						Args     json.RawMessage
					}
				}
			}
			FinishReason      any
			GroundingMetadata struct {
				WebSearchQueries []string
				GroundingChunks  []struct {
					Web struct{ URI, Title string }
				}
				GroundingSupports []struct {
					Segment struct {
						StartIndex, EndIndex int
						Text                 string
					}
					GroundingChunkIndices []int
				}
			}
		}
		PromptFeedback struct{ BlockReason string }
		UsageMetadata  *struct {
			PromptTokenCount, ToolUsePromptTokenCount, CachedContentTokenCount, CandidatesTokenCount, ThoughtsTokenCount int64
		}
		ModelVersion, ResponseID string
		Error                    *struct{ Code int }
	}
)

// chunks takes the JSON texts out of a recorded body.
func (r recording) chunks(t *testing.T) []wireAnswer {
	texts := []string{string(r.body)}
	if strings.HasSuffix(r.Files.Body, ".sse") {
		texts = nil
		for _, block := range regexp.MustCompile(`\r?\n\r?\n`).Split(string(r.body), -1) {
			if block = strings.TrimSpace(block); block != "" {
				texts = append(texts, strings.TrimPrefix(block, "data:"))
			}
		}
	}
	var out []wireAnswer
	for _, text := range texts {
		if strings.HasPrefix(strings.TrimSpace(text), "[") {
			var list []wireAnswer
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
			out = append(out, list...)
			continue
		}
		var one wireAnswer
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

// expected computes what a client must see of a recorded answer.
func expected(t *testing.T, r recording) told {
	want := told{text: map[int64]string{}, reasoning: map[int64]string{}, calls: map[int64][]chat.ToolCall{}, finish: map[int64]chat.Finish{}}
	queries := map[string]bool{}
	for _, c := range r.chunks(t) {
		if want.id == "" {
			want.id, want.model = c.ResponseID, c.ModelVersion
		}
		if u := c.UsageMetadata; u != nil {
			want.usage = &pricing.Usage{
				Input: u.PromptTokenCount + u.ToolUsePromptTokenCount - u.CachedContentTokenCount, CacheRead: u.CachedContentTokenCount,
				Output: u.CandidatesTokenCount + u.ThoughtsTokenCount, Reasoning: u.ThoughtsTokenCount,
			}
		}
		if c.PromptFeedback.BlockReason != "" && len(c.Candidates) == 0 {
			want.finish[0] = chat.Finish{Reason: chat.FinishFilter, Native: c.PromptFeedback.BlockReason}
		}
		for _, one := range c.Candidates {
			for _, p := range one.Content.Parts {
				switch {
				case p.FunctionCall != nil:
					f := p.FunctionCall
					var args bytes.Buffer
					if err := json.Compact(&args, f.Args); err != nil {
						t.Fatal(err)
					}
					if f.ID == "" {
						f.ID = zeroID
					}
					want.calls[one.Index] = append(want.calls[one.Index], chat.ToolCall{ID: f.ID, Name: f.Name, Arguments: args.String(), Signature: p.ThoughtSignature})
				case p.Text != nil:
					if p.ThoughtSignature != "" {
						want.signatures = append(want.signatures, p.ThoughtSignature)
					}
					if p.Thought {
						want.reasoning[one.Index] += *p.Text
					} else if *p.Text != "" {
						want.text[one.Index] += *p.Text
					}
				}
			}
			g := one.GroundingMetadata
			for _, chunk := range g.GroundingChunks {
				want.sources = append(want.sources, chat.Source{URL: chunk.Web.URI, Title: chunk.Web.Title})
			}
			for _, s := range g.GroundingSupports {
				joined := want.text[one.Index]
				start, end := 0, 0
				if s.Segment.EndIndex > 0 {
					start = len(utf16.Encode([]rune(joined[:s.Segment.StartIndex])))
					end = len(utf16.Encode([]rune(joined[:s.Segment.EndIndex])))
				}
				for _, i := range s.GroundingChunkIndices {
					web := g.GroundingChunks[i].Web
					want.citations = append(want.citations, chat.Citation{URL: web.URI, Title: web.Title, Quote: s.Segment.Text, Start: int64(start), End: int64(end)})
				}
			}
			for _, q := range g.WebSearchQueries {
				queries[q] = q != ""
			}
			if one.FinishReason != nil {
				want.finish[one.Index] = expectedFinish(one.FinishReason, len(want.calls[one.Index]) > 0)
			}
		}
	}
	if want.usage != nil {
		want.usage.Searches = int64(len(queries))
		if strings.HasPrefix(r.Model, "gemini-2") {
			want.usage.Searches = min(want.usage.Searches, 1)
		}
	}
	return want
}

func expectedFinish(native any, calls bool) chat.Finish {
	f := chat.Finish{Native: fmt.Sprint(native), Reason: chat.FinishStop}
	if n, ok := native.(float64); ok {
		f.Native = []string{"", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER"}[int(n)]
	}
	switch {
	case f.Native == "MAX_TOKENS":
		f.Reason = chat.FinishLength
	case regexp.MustCompile("SAFETY|RECITATION|BLOCKLIST|PROHIBITED_CONTENT|SPII|MODEL_ARMOR").MatchString(f.Native):
		f.Reason = chat.FinishFilter
	case calls:
		f.Reason = chat.FinishTools
	}
	return f
}

// fromAnswer is a unary answer in the shape of a stream's.
func fromAnswer(resp *chat.Response) told {
	out := told{text: map[int64]string{}, reasoning: map[int64]string{}, calls: map[int64][]chat.ToolCall{}, finish: map[int64]chat.Finish{}}
	a := resp.Answer
	out.id, out.model, out.usage, out.sources, out.bytes = a.ID, a.Model, resp.Usage, a.Sources, resp.OutputBytes
	for _, c := range a.Choices {
		out.finish[c.Index] = c.Finish
		for _, p := range c.Parts {
			if p.Signature != "" {
				out.signatures = append(out.signatures, p.Signature)
			}
			out.citations = append(out.citations, p.Citations...)
			switch p.Kind {
			case chat.PartText:
				out.text[c.Index] += p.Text
			case chat.PartThought:
				out.reasoning[c.Index] += p.Thought.Text
				if p.Thought.Signature != "" {
					out.signatures = append(out.signatures, p.Thought.Signature)
				}
			case chat.PartCall:
				out.calls[c.Index] = append(out.calls[c.Index], *p.Call)
			}
		}
	}
	return out
}

// view compares what a client sees.
var view = cmp.Options{
	cmp.AllowUnexported(told{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(told{}, "content", "bytes", "logprobs", "err"),
	cmpopts.IgnoreFields(chat.Finish{}, "Explanation"),
}

// every compares all, for replays of the same stream.
var every = cmp.Options{cmp.AllowUnexported(told{}), cmpopts.IgnoreFields(chat.Error{}, "Cause")}

func TestRecordedUnary(t *testing.T) {
	for _, r := range recorded(t) {
		if r.Status != 200 || r.Stream {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "application/json; charset=UTF-8", string(r.body))
			got, err := newUpstream(t).Do(context.Background(), call(base, r.Model, hello(), false))
			if err != nil {
				t.Fatal(err)
			}
			want := expected(t, r)
			if d := cmp.Diff(want, fromAnswer(got), view); d != "" {
				t.Error(d)
			}
			if (got.OutputBytes > 0) != (len(want.text[0])+len(want.reasoning[0])+len(want.calls[0]) > 0) {
				t.Error("output bytes:", got.OutputBytes)
			}
		})
	}
}

func TestRecordedStreams(t *testing.T) {
	for _, r := range recorded(t) {
		if r.Status != 200 || !r.Stream {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "text/event-stream", string(r.body))
			resp, err := newUpstream(t).Do(context.Background(), call(base, r.Model, hello(), true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := collect(resp.Events)
			_ = resp.Events.Close()
			if err != nil {
				t.Fatal(err)
			}
			want := expected(t, r)
			if broken := failsLater(r.chunks(t)); broken {
				want.finish = nil
				if got.err == nil {
					t.Error("the error in the stream is not told")
				}
			}
			if d := cmp.Diff(want, got, view); d != "" {
				t.Error(d)
			}
			compareSplits(t, r.body)
		})
	}
}

func failsLater(chunks []wireAnswer) bool { return chunks[len(chunks)-1].Error != nil }

// compareSplits replays a stream a byte at a time, and cut in two at every offset; a long one where lines end and runes go on,
// and at one in eleven of the other offsets.
func compareSplits(t *testing.T, body []byte) {
	want, err := streamFrom(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	slow, err := streamFrom(iotest.OneByteReader(bytes.NewReader(body)))
	if d := cmp.Diff(want, slow, every); d != "" || err != nil {
		t.Fatal("a byte at a time:", d, err)
	}
	const long = 3000
	for i, c := range body {
		if len(body) > long && i%11 != 0 && c != '\r' && c != '\n' && c < 0x80 {
			continue
		}
		got, err := streamFrom(&cut{first: body[:i], rest: body[i:]})
		if d := cmp.Diff(want, got, every); d != "" || err != nil {
			t.Fatal("cut at", i, d, err)
		}
	}
}

func TestRecordedErrors(t *testing.T) {
	for _, r := range recorded(t) {
		if r.Status == 200 {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			for _, contentType := range []string{"application/json; charset=UTF-8", "text/event-stream"} {
				base := answer(t, r.Status, contentType, string(r.body))
				_, err := newUpstream(t).Do(context.Background(), call(base, "gemini-2.5-flash", hello(), contentType == "text/event-stream"))
				e := chatError(t, err)
				checkError(t, r, e)
			}
		})
	}
}

func checkError(t *testing.T, r recording, e *chat.Error) {
	t.Helper()
	message := string(r.body)
	switch {
	case strings.Contains(message, "API_KEY_INVALID"), strings.Contains(message, "unregistered callers"):
		if e.Status != 502 || e.Code != "upstream_auth" || !e.Fallback || strings.Contains(e.Message, "API key") {
			t.Errorf("got %+v", e)
		}
	case strings.Contains(message, "token count"):
		if e.Status != 400 || e.Code != "context_length_exceeded" || e.Param != "messages" {
			t.Errorf("got %+v", e)
		}
	case r.Status == 404:
		if e.Status != 404 || e.Code != "model_not_found" {
			t.Errorf("got %+v", e)
		}
	case r.Status == 429:
		if e.Status != 429 || e.Code != "rate_limit_exceeded" || e.Type != "rate_limit_error" || !e.Fallback {
			t.Errorf("got %+v", e)
		}
	case r.Status == 503:
		if e.Status != 503 || !e.Fallback {
			t.Errorf("got %+v", e)
		}
	default:
		var body struct{ Error struct{ Message string } }
		if err := json.Unmarshal(r.body, &body); err != nil {
			t.Fatal(err)
		}
		if e.Status != r.Status || e.Type != "invalid_request_error" || e.Message != body.Error.Message || e.Fallback {
			t.Errorf("got %+v", e)
		}
	}
}
