package mockprovider

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Usage is what the mock bills for one answer, in tokens and in OpenAI's meaning: Prompt includes those read from and
// written to a cache, Completion includes Reasoning. Each dialect tells it in its own classes.
type Usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Cached     int64 `json:"cached_tokens"`
	// Written and Written1h are kept in a cache for five minutes and for an hour.
	Written   int64 `json:"cache_write_tokens,omitempty"`
	Written1h int64 `json:"cache_write_1h_tokens,omitempty"`
	Reasoning int64 `json:"reasoning_tokens,omitempty"`
}

// script is what a prompt asks for.
type script struct {
	chunks, disconnect, status  int
	fails, tools                int
	delay, interval             time.Duration
	retryAfter, code, message   string
	failMid, tool, garbage      bool
	html, noUsage, noDone, hang bool
	empty, think, redacted      bool
	thoughts                    bool
	finish                      string
	usage                       *Usage
	text                        string
}

// parseScript reads the directives behind "mock:" in a prompt, up to the end of the line.
func parseScript(prompt string) (script, error) {
	s := script{disconnect: -1}
	_, line, found := strings.Cut(prompt, "mock:")
	if !found {
		return s, nil
	}
	line, _, _ = strings.Cut(line, "\n")
	for d := range strings.SplitSeq(line, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		if err := s.set(name, value); err != nil {
			return s, fmt.Errorf("directive %q: %w", d, err)
		}
	}
	return s, nil
}

func (s *script) set(name, value string) (err error) {
	flags := map[string]*bool{
		"tool": &s.tool, "garbage": &s.garbage, "html": &s.html, "no-usage": &s.noUsage, "no-done": &s.noDone, "hang": &s.hang, "empty": &s.empty,
		"think": &s.think, "redacted": &s.redacted, "thoughts": &s.thoughts,
	}
	numbers := map[string]*int{"chunks": &s.chunks, "disconnect": &s.disconnect, "status": &s.status, "fails": &s.fails, "tools": &s.tools}
	durations := map[string]*time.Duration{"delay": &s.delay, "interval": &s.interval}
	texts := map[string]*string{"retry-after": &s.retryAfter, "code": &s.code, "message": &s.message, "text": &s.text}
	switch {
	case flags[name] != nil:
		*flags[name] = true
	case numbers[name] != nil:
		*numbers[name], err = strconv.Atoi(value)
	case durations[name] != nil:
		*durations[name], err = time.ParseDuration(value)
	case texts[name] != nil:
		*texts[name] = value
	case name == "finish" && (value == "length" || value == "filter"):
		s.finish = value
	case name == "error" && value == "mid":
		s.failMid = true
	case name == "usage":
		s.usage, err = parseUsage(value)
	case name == "":
	default:
		err = fmt.Errorf("not known")
	}
	return err
}

// parseUsage reads PROMPT/COMPLETION and up to four more classes.
func parseUsage(value string) (*Usage, error) {
	var u Usage
	fields := []*int64{&u.Prompt, &u.Completion, &u.Cached, &u.Written, &u.Written1h, &u.Reasoning}
	parts := strings.Split(value, "/")
	if len(parts) < 2 || len(parts) > len(fields) {
		return nil, fmt.Errorf("want PROMPT/COMPLETION, then CACHED, WRITTEN, WRITTEN1H and REASONING")
	}
	for i, p := range parts {
		n, err := strconv.ParseInt(p, 10, 64)
		if err != nil {
			return nil, err
		}
		*fields[i] = n
	}
	return &u, nil
}
