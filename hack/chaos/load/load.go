// Package load is the clients of a chaos run.
package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/provider"
)

// CreditsPerDollar is what a credit is in a run.
const CreditsPerDollar = 100

// patience is how long a client waits for an answer.
const patience = 40 * time.Second

// Client sends requests.
type Client struct {
	Accounts []plan.Account
	// APIs are host:port of each replica.
	APIs []string
	HTTP *http.Client
}

// New makes a client.
func New(accounts []plan.Account, apis []string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = 200, 1000
	return &Client{Accounts: accounts, APIs: apis, HTTP: &http.Client{Transport: transport}}
}

// body is the request's JSON.
func body(q plan.Request) []byte {
	in := map[string]any{"model": q.Model, "messages": []any{map[string]any{"role": "user", "content": provider.Prompt(Ask(q))}}}
	if q.MaxTokens > 0 {
		in["max_tokens"] = q.MaxTokens
	}
	if q.Stream {
		in["stream"] = true
	}
	if q.Usage {
		in["stream_options"] = map[string]any{"include_usage": true}
	}
	b, _ := json.Marshal(in) // texts and numbers always marshal
	return b
}

// Ask is what a request asks of the provider.
func Ask(q plan.Request) provider.Ask {
	a := provider.Ask{
		Nonce: q.N, Input: q.Input, Output: q.Output, Chunks: q.Chunks, First: q.First.Milliseconds(), Interval: q.Interval.Milliseconds(),
		Fails: q.Fails, Breaks: q.Breaks,
	}
	if q.Empty {
		a.Output = 0
	}
	return a
}

// Do sends a request for the first (0) or the second time, to a replica, and says what came of it.
func (c *Client) Do(ctx context.Context, q plan.Request, attempt, gateway int) judge.Call {
	account := c.Accounts[q.Account]
	call := judge.Call{
		Nonce: q.N, Attempt: attempt, Account: account.ID, Model: q.Model, Gateway: gateway, Stream: q.Stream, Usage: q.Usage, Key: q.Again != plan.Once,
		Leaves: q.Leave > 0, Input: q.Input, MaxTokens: q.MaxTokens, Sent: time.Now(),
	}
	ctx, leave := context.WithTimeout(ctx, patience)
	defer leave()
	if q.Leave > 0 && !q.Stream {
		timer := time.AfterFunc(q.First/2, leave)
		defer timer.Stop()
	}
	err := c.send(ctx, q, account.Keys[q.Key], &call, leave)
	if call.Ended = time.Now(); err != nil {
		call.Err = err.Error()
	}
	return call
}

func (c *Client) send(ctx context.Context, q plan.Request, key string, call *judge.Call, leave func()) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.APIs[call.Gateway]+"/v1/chat/completions", bytes.NewReader(body(q)))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", fmt.Sprintf("chaos-%d-%d", call.Nonce, call.Attempt))
	if q.Again != plan.Once {
		r.Header.Set("Idempotency-Key", fmt.Sprintf("chaos-%d", call.Nonce))
	}
	if q.Strict {
		r.Header.Set("X-Layers-Strict", "true")
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	call.RequestID, call.Status, call.Degraded = resp.Header.Get("X-Layers-Request-Id"), resp.StatusCode, resp.Header.Get("X-Layers-Degraded")
	if resp.StatusCode == http.StatusOK && q.Stream {
		return stream(resp.Body, q.Leave, call, leave)
	}
	return whole(resp, call)
}

// answer is what a client reads of an answer, a chunk or an error.
type answer struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
	} `json:"choices"`
	Usage *struct {
		Cost json.Number `json:"cost"`
	} `json:"usage"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// mismatch is what an answer tells whose header and whose body tell different costs: it is nobody's charge.
const mismatch pricing.Nano = -1

// whole reads an answer in one piece.
func whole(resp *http.Response, call *judge.Call) error {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("reading %.200q: %w", b, err)
	}
	if call.Whole = true; a.Error != nil {
		call.Code = a.Error.Code
		return nil
	}
	if len(a.Choices) > 0 {
		call.Seen = tokens(a.Choices[0].Message.Content)
	}
	told, err := pricing.ParseCredits(resp.Header.Get("X-Layers-Cost"), CreditsPerDollar)
	if err != nil {
		return fmt.Errorf("reading the cost: %w", err)
	}
	if a.Usage != nil {
		if cost, err := pricing.ParseUSDPerMillion(a.Usage.Cost.String()); err != nil || cost != told {
			told = mismatch
		}
	}
	call.Told = &told
	return nil
}

// stream reads events, and leaves after so many with content; 0: never.
func stream(r io.Reader, leaveAfter int, call *judge.Call, leave func()) error {
	chunks := 0
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case !ok:
			continue
		case data == "[DONE]":
			call.Whole = true
			continue
		}
		var a answer
		if err := json.Unmarshal([]byte(data), &a); err != nil {
			return fmt.Errorf("reading %.200q: %w", data, err)
		}
		if a.Error != nil {
			call.Code = a.Error.Code
		}
		if a.Usage != nil {
			told, err := pricing.ParseUSDPerMillion(a.Usage.Cost.String())
			if err != nil {
				return fmt.Errorf("reading the cost in %.200q: %w", data, err)
			}
			call.Told = &told
		}
		if len(a.Choices) == 0 || a.Choices[0].Delta.Content == "" {
			continue
		}
		call.Seen += tokens(a.Choices[0].Delta.Content)
		if chunks++; chunks == leaveAfter {
			leave()
		}
	}
	return lines.Err()
}

// tokens counts the provider's tokens.
func tokens(text string) int64 { return int64(len(text) / provider.TokenBytes) }
