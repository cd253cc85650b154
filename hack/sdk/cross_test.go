package sdk

import (
	"path/filepath"
	"strings"
	"testing"
)

// makers are the names of the models that speak to each maker's API.
var makers = []string{"openai", "anthropic", "claude", "gemini"}

// passed are the lines of checks that have passed with each of some models.
func passed(names []string, models ...string) string {
	var b strings.Builder
	for _, name := range names {
		only := models
		if before, after, ok := strings.Cut(name, ": "); ok {
			name, only = before, strings.Fields(after)
		}
		for _, m := range only {
			b.WriteString("ok " + name + " " + m + "\n")
		}
	}
	return b.String()
}

// crossChecks are the checks of each script; those with ": " are for some models only.
var crossChecks = map[string][]string{
	"openai": {
		"chat", "usage", "stream", "tools", "tools streamed", "parse", "thoughts", "thoughts lost", "thoughts streamed", "abort", "abort before", "busy", "retry",
		"error in a stream", "responses", "responses stream", "responses tools", "responses parse", "responses thoughts", "responses abort", "responses retry",
		"a word after results", "responses custom tool", "wrong types", "embeddings: openai",
	},
	"anthropic": {
		"chat", "usage", "stream", "tools", "no arguments", "tool runner", "parse", "thoughts", "redacted thoughts: anthropic claude", "count tokens", "models",
		"abort", "busy", "retry", "error in a stream", "invalid key",
	},
	"ai": aiChecks(),
}

// pythonChecks are the checks of each script for Python.
var pythonChecks = map[string][]string{
	"openai": {
		"chat", "stream", "tools", "parse", "thoughts", "abort", "busy", "retry", "error in a stream",
		"responses", "responses stream", "responses parse", "responses thoughts",
	},
	"anthropic": {
		"chat", "stream", "tools", "tool runner", "parse", "thoughts", "count tokens", "abort", "busy", "retry", "error in a stream", "list of models",
	},
	// Open Responses' acceptance tests ask this, all but thinking.
	"open_responses": {"basic", "streaming", "system prompt", "tool calling", "tool calling streaming", "image", "turns", "thinking"},
}

func aiChecks() (out []string) {
	for _, how := range []string{"compatible", "responses", "chat", "anthropic"} {
		for _, what := range []string{"chat", "stream", "tools", "parse", "thoughts", "abort", "retry", "busy"} {
			out = append(out, how+" "+what)
		}
	}
	return append(out, "responses stored")
}

// TestNodeCross runs each library for Node against a model at each maker's API.
func TestNodeCross(t *testing.T) {
	node, scripts := nodeScripts(t)
	g := live(t)
	for name, checks := range crossChecks {
		t.Run(name, func(t *testing.T) {
			run(t, g, passed(checks, makers...), nil, node, filepath.Join(scripts, name+".mjs"))
		})
	}
}

// TestPythonCross runs each library for Python against a model at each maker's API.
func TestPythonCross(t *testing.T) {
	python := program(t, "python3")
	library := pythonLibrary(t, python)
	for name, checks := range pythonChecks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := []string{"PYTHONPATH=" + library, "PYTHONDONTWRITEBYTECODE=1"}
			run(t, live(t), passed(checks, makers...), env, python, filepath.Join("python", name+"_check.py"))
		})
	}
}
