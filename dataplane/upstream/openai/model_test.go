package openai

import (
	"strings"
	"testing"
)

func TestModels(t *testing.T) {
	for id, c := range map[string]struct {
		reasons bool
		// samples with no effort said, with none, with low
		samples string
		efforts string
		search  bool
	}{
		"gpt-4o":                     {false, "yes yes yes", "", false},
		"gpt-4.1-mini":               {false, "yes yes yes", "", false},
		"gpt-3.5-turbo":              {false, "yes yes yes", "", false},
		"ft:gpt-4o-mini:org::x":      {false, "yes yes yes", "", false},
		"gpt-4o-mini-search-preview": {false, "yes yes yes", "", true},
		"gpt-5-search-api":           {true, "no no no", "minimal low medium high", true},
		"gpt-5-chat-latest":          {false, "yes yes yes", "", false},
		"gpt-oss-120b":               {false, "yes yes yes", "", false},
		"o1-mini":                    {true, "no no no", "low medium high", false},
		"o4-mini-2025-04-16":         {true, "no no no", "low medium high", false},
		"gpt-5":                      {true, "no no no", "minimal low medium high", false},
		"gpt-5-nano":                 {true, "no no no", "minimal low medium high", false},
		"gpt-5-pro":                  {true, "no no no", "high", false},
		"gpt-5-codex":                {true, "no no no", "low medium high", false},
		"gpt-5.1":                    {true, "yes yes no", "none low medium high", false},
		"gpt-5.4-2026-03-05":         {true, "yes yes no", "none low medium high xhigh", false},
		"openai/gpt-5.4":             {true, "yes yes no", "none low medium high xhigh", false},
		"gpt-5.5-pro":                {true, "no yes no", "medium high xhigh", false},
		"gpt-5.6-luna":               {true, "no yes no", "none low medium high xhigh max", false},
		"gpt-6-astra":                {true, "no yes no", "low medium high xhigh max", false},
		"gpt-6.1-terra":              {true, "no yes no", "none low medium high xhigh max", false},
		"omni-moderation":            {false, "yes yes yes", "", false},
		"claude-opus-5":              {false, "yes yes yes", "", false},
		"gpt-99999999999999999999":   {true, "no yes no", "none low medium high xhigh max", false},
	} {
		m := modelOf(id)
		yes := map[bool]string{true: "yes", false: "no"}
		samples := yes[m.samples("")] + " " + yes[m.samples("none")] + " " + yes[m.samples("low")]
		if m.reasons != c.reasons || samples != c.samples || strings.Join(m.efforts(), " ") != c.efforts || m.searches() != c.search {
			t.Errorf("%s: reasons %v, samples %s, efforts %v, searches %v", id, m.reasons, samples, m.efforts(), m.searches())
		}
	}
}

func TestNearestEffort(t *testing.T) {
	for _, c := range [][3]string{
		{"gpt-5", "none", "minimal"}, {"gpt-5", "max", "high"}, {"gpt-5", "minimal", "minimal"}, {"o3", "none", "low"}, {"o3", "xhigh", "high"},
		{"gpt-5.1", "minimal", "none"}, {"gpt-5.4", "max", "xhigh"}, {"gpt-5.6-sol", "max", "max"}, {"gpt-5-pro", "low", "high"},
		{"gpt-4o", "high", ""}, {"gpt-5", "silly", ""}, {"gpt-5", "", ""},
	} {
		if got := modelOf(c[0]).effort(c[1]); got != c[2] {
			t.Errorf("%s, %s: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
