package forecast

// families is the part of a series' name under which the ratio of bytes to tokens of a family of models is kept: no key's
// digest is empty.
const families = ""

const (
	// perMille scales tokens a byte into integers.
	perMille = 1000
	// startPerMille is believed of a family that too little is known of: a token every four bytes, as English has it.
	startPerMille = 250
	// overhead is the tokens that a request has besides its text: roles, separators, the system's own.
	overhead = 16
	// tellingBytes is the least size of a request whose ratio is remembered: in smaller ones the overhead is most of it.
	tellingBytes = 512
)

// Input estimates the input tokens of so many bytes of text: by what 95 of 100 recent requests to the family of models did
// not exceed, so that it is rather too high. It is never more than a token a byte and the overhead, nor less than a token
// every sixteen bytes. family is a name that the caller gives to models with one tokenizer.
func (b *Book) Input(family string, bytes int64) int64 {
	bytes = max(0, min(bytes, 1<<40))
	return overhead + (bytes*b.PerMille(family)+perMille-1)/perMille
}

// PerMille is how many tokens a thousand bytes of text are thought to be to a family of models: what Input counts with. It is
// 250, as of plain English, where too little is known.
func (b *Book) PerMille(family string) int64 {
	if v, ok := b.quantile(Series{families, family}); ok {
		return max(perMille/16, min(v, perMille))
	}
	return startPerMille
}

// SawInput remembers how many tokens so many bytes of text were. Requests with images, documents or cached input of
// unknown size are not for it; nor is what a provider did not report.
func (b *Book) SawInput(family string, bytes, tokens int64) {
	if bytes < tellingBytes || bytes > 1<<40 || tokens <= overhead || tokens > 1<<40 {
		return
	}
	b.Saw(Series{families, family}, (tokens-overhead)*perMille/bytes)
}
