package openai

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// This file knows OpenAI's own models by their ids: what their APIs refuse with 400 is dropped before it is sent.
// Facts: the recorded refusals, OpenAI's reference and its guide to the latest model (which model reasons unless told
// otherwise, and so takes no sampling parameters), and the catalogues' reasoning levels.

// generation finds the number in gpt-5.6-sol, o4-mini.
var generation = regexp.MustCompile(`^(gpt-|o)(\d+)(?:\.(\d+))?(?:[^0-9a-z.]|$)`)

// model is what is known of a model.
type model struct {
	// id is without a vendor ("openai/") and without the mark of a fine-tuned one ("ft:").
	id string
	// reasons says that it reasons at all; series that it is an o-series model.
	reasons, series bool
	// version is 506 for gpt-5.6.
	version int
}

func modelOf(id string) model {
	id = strings.TrimPrefix(strings.TrimPrefix(id, "openai/"), "ft:")
	m := model{id: id}
	parts := generation.FindStringSubmatch(id)
	if parts == nil {
		return m
	}
	major, _ := strconv.Atoi(parts[2]) // digits; more than fit are no model
	minor, _ := strconv.Atoi(parts[3])
	m.version = min(major, 99)*100 + min(minor, 99)
	m.series = parts[1] == "o"
	// The -chat models answer at once.
	m.reasons = m.series || m.version >= 500 && !strings.Contains(id, "-chat")
	return m
}

// samples says whether the model takes temperature, top_p and log probabilities with that effort; empty: not said.
func (m model) samples(effort string) bool {
	switch {
	case !m.reasons:
		return true
	case m.series || m.version < 501:
		return false
	case effort == "":
		return m.version <= 504 // these do not reason by themselves
	}
	return effort == "none"
}

// searches says that the model searches by itself in chat completions, and only there.
func (m model) searches() bool {
	return strings.Contains(m.id, "-search-preview") || strings.Contains(m.id, "-search-api")
}

// ladder has every effort, from the least.
var ladder = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// efforts that the model takes, from the least; nil: none.
func (m model) efforts() []string {
	switch {
	case !m.reasons:
		return nil
	case strings.HasPrefix(m.id, "gpt-5-pro"):
		return []string{"high"}
	case strings.Contains(m.id, "-pro") && !m.series:
		return []string{"medium", "high", "xhigh"}
	case m.series, strings.HasPrefix(m.id, "gpt-5-codex"):
		return []string{"low", "medium", "high"}
	case m.version < 501:
		return []string{"minimal", "low", "medium", "high"}
	case m.version < 502:
		return []string{"none", "low", "medium", "high"}
	case m.version < 506:
		return []string{"none", "low", "medium", "high", "xhigh"}
	case strings.HasPrefix(m.id, "gpt-6-astra"), strings.HasPrefix(m.id, "gpt-6.1-sol"):
		return []string{"low", "medium", "high", "xhigh", "max"}
	}
	return []string{"none", "low", "medium", "high", "xhigh", "max"}
}

// effort is the nearest that the model takes to the one wanted: the next lower one, or its least. Empty: it takes none.
func (m model) effort(want string) string { return nearest(m.efforts(), want) }

func nearest(takes []string, want string) string {
	rank := slices.Index(ladder, want)
	if len(takes) == 0 || rank < 0 {
		return ""
	}
	best := takes[0]
	for _, e := range takes {
		if slices.Index(ladder, e) <= rank {
			best = e
		}
	}
	return best
}
