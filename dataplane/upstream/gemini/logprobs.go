package gemini

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// OpenAI's object for the log probabilities of a choice.
type (
	logprobs struct {
		Content []chosenLogprob `json:"content"`
		Refusal json.RawMessage `json:"refusal"`
	}
	chosenLogprob struct {
		tokenLogprob
		TopLogprobs []tokenLogprob `json:"top_logprobs"`
	}
	tokenLogprob struct {
		Token   string      `json:"token"`
		Logprob json.Number `json:"logprob"`
		Bytes   []int       `json:"bytes"`
	}
)

// readLogprobs translates a logprobsResult; nil: there is none.
func readLogprobs(raw []byte) json.RawMessage {
	out := logprobs{Refusal: json.RawMessage("null")}
	for chosen := range jsonscan.Elements(jsonscan.Field(raw, "chosenCandidates")) {
		out.Content = append(out.Content, chosenLogprob{readToken(chosen), []tokenLogprob{}})
	}
	if len(out.Content) == 0 {
		return nil
	}
	i := 0
	for step := range jsonscan.Elements(jsonscan.Field(raw, "topCandidates")) {
		if i == len(out.Content) {
			break
		}
		for alternative := range jsonscan.Elements(jsonscan.Field(step, "candidates")) {
			out.Content[i].TopLogprobs = append(out.Content[i].TopLogprobs, readToken(alternative))
		}
		i++
	}
	text, err := encode(out)
	if err != nil {
		return nil // a number that is none
	}
	return text
}

// readToken reads one token. A probability of 1 is left out, as zeros are.
func readToken(raw []byte) tokenLogprob {
	t := tokenLogprob{Logprob: "0", Bytes: []int{}}
	t.Token, _ = jsonscan.String(jsonscan.Field(raw, "token"))
	if n := jsonscan.Field(raw, "logProbability"); len(n) > 0 && (n[0] == '-' || n[0] >= '0' && n[0] <= '9') {
		t.Logprob = json.Number(n)
	}
	for _, c := range []byte(t.Token) {
		t.Bytes = append(t.Bytes, int(c))
	}
	return t
}
