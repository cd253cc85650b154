package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Header names of holds.
const (
	// headerStrict asks for all of the answer or nothing: it is not cut to what the credits pay for.
	headerStrict = "X-Layers-Strict"
	// headerMaxTokens tells to how many tokens each choice was cut.
	headerMaxTokens = "X-Layers-Max-Tokens"
)

// leastClamp is the smallest limit that every provider takes.
const leastClamp = 16

// modeNames are how a hold was decided, for people.
var modeNames = map[forecast.Mode]string{
	forecast.Adaptive: "adaptive", forecast.WorstCase: "worst_case", forecast.Clamped: "clamped", forecast.TiedUp: "tied_up", forecast.Short: "short",
}

// stake is what the exchange asks to have held, and what is.
type stake struct {
	ask  forecast.Ask
	need forecast.Need
	// decision is the admission's; mode and held are as it says, held as extended since.
	decision admit.Decision
	mode     forecast.Mode
	held     pricing.Nano
	// most is how many tokens each choice was cut to; 0: to none. cut is the request as upstreams get it then.
	most int64
	cut  *chat.Request
}

// strict says whether the client wants its answer whole.
func strict(r *http.Request) (bool, error) {
	values := r.Header.Values(headerStrict)
	if len(values) == 0 {
		return false, nil
	}
	on, err := strconv.ParseBool(values[0])
	if len(values) > 1 || err != nil || values[0] != "true" && values[0] != "false" {
		return false, errRequest("invalid_value", headerStrict, "The header "+headerStrict+" must be true or false.")
	}
	return on, nil
}

// stakes computes what to hold at a price: all that the request can cost, what it is thought to cost, and what the least
// answer that is of use costs.
func (e *exchange) stakes(price pricing.Price) (stake, error) {
	thinks, choices := e.thinks(), max(e.req.Choices, 1)
	out, least := forecast.Default(thinks), forecast.Useful(thinks)
	if p := e.policy; p != nil && p.DefaultOutputTokens > 0 {
		out = p.DefaultOutputTokens
	}
	if p := e.policy; p != nil && p.MinOutputTokens > 0 {
		least = max(p.MinOutputTokens, leastClamp)
	}
	ask := forecast.Ask{
		Price:    price,
		Bound:    pricing.Bound{Input: e.inBound, Output: e.outBound, Searches: e.searches, LongCache: e.req.LongCache},
		Input:    e.likelyInput(),
		Output:   times(e.s.o.Book.Output(e.series(), out), choices, e.outBound),
		Searches: min(e.searches, 1), Reasoning: thinks,
		Least:  times(least+min(e.req.ExtraOutputTokens, e.outBound), choices, e.outBound),
		Sized:  e.req.Opaque && e.sized(),
		Strict: e.strict, Unstoppable: !e.req.Stream,
	}
	need, err := ask.Need()
	return stake{ask: ask, need: need}, err
}

// times is a product, at most most.
func times(n, by, most int64) int64 {
	if n >= most/by {
		return most
	}
	return n * by
}

// series is what the lengths of answers are remembered by.
func (e *exchange) series() forecast.Series {
	return forecast.Series{Key: e.key.Digest, Model: e.target.PublicName}
}

// likelyInput estimates the input; what neither bytes nor its size tell of is thought to be as much as there may be.
func (e *exchange) likelyInput() int64 {
	if !e.sized() {
		return e.inBound
	}
	return min(e.s.o.Book.Input(e.target.PublicName, e.req.InputBytes-e.req.AttachedBytes)+e.shown(), e.inBound)
}

// thinks says that the model reasons before it answers: where it is asked to, and where it does unasked, as all that can
// but Claude.
func (e *exchange) thinks() bool {
	if slices.Contains(e.req.Needs, "Thinking") {
		return true
	}
	unasked := func(b snapshot.Backend) bool {
		return e.x.Provider(b.Provider).Type != snapshot.Anthropic && !strings.HasPrefix(b.Model, "anthropic/")
	}
	return slices.Contains(e.target.Capabilities, "Thinking") && slices.ContainsFunc(e.backends, unasked)
}

// least is what must be free for the exchange to be admitted.
func (e *exchange) least() pricing.Nano {
	if e.stake.need.Strict {
		return e.holds()
	}
	return min(e.stake.need.Floor, e.holds())
}

// admitted notes what is held, and cuts the answer to what that pays for.
func (e *exchange) admitted(d admit.Decision) {
	e.stake.held, e.stake.mode = d.Held, e.modeOf(d)
	if e.stake.mode != forecast.Clamped {
		return
	}
	e.stake.most = e.affordable(d.Held)
	if asked := e.req.MaxOutputTokens; asked > 0 && asked <= e.stake.most {
		e.stake.most = asked // only what comes beside it is cut
	}
	e.stake.cut = e.dialect.Clamp(e.req, e.stake.most)
	e.w.Header().Set(headerMaxTokens, strconv.FormatInt(e.stake.most, 10))
}

// modeOf is how a decision came about; where limits are only counted, nothing is cut.
func (e *exchange) modeOf(d admit.Decision) forecast.Mode {
	n := e.stake.need
	switch {
	case e.unmetered || d.Held >= n.Worst || e.shadow():
		return forecast.WorstCase
	case n.Healthy() > 0 && d.Fits >= n.Healthy():
		return forecast.Adaptive
	}
	return forecast.Clamped
}

// affordable is how many tokens of each choice an amount pays for, at most; 0: not even for the input.
func (e *exchange) affordable(amount pricing.Nano) int64 {
	return max(0, e.stake.ask.Affordable(amount)/max(e.req.Choices, 1)-e.req.ExtraOutputTokens)
}

// sayingSo is how many bytes longer a body may get by a limit that its client had not given: a member, its name, its spaces.
const sayingSo = 48

// advice is how many tokens a refused client may ask for so that the same request costs no more than amount; 0: none.
func (e *exchange) advice(amount pricing.Nano) int64 {
	ask, beside := e.stake.ask, e.req.ExtraOutputTokens+e.besides()
	if e.req.MaxOutputTokens == 0 {
		ask.Bound.Input = min(ask.Bound.Input+sayingSo, e.target.Limits.ContextTokens)
	}
	return max(0, ask.Affordable(amount)/max(e.req.Choices, 1)-beside)
}

// request is what upstreams get, and the most that they may be told to write.
func (e *exchange) request() (*chat.Request, int64) {
	if e.stake.cut != nil {
		return e.stake.cut, min(e.target.Limits.MaxOutputTokens, e.affordable(e.stake.held))
	}
	return e.req, e.target.Limits.MaxOutputTokens
}
