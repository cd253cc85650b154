package verify

import (
	"bytes"
	"context"
	"fmt"
	imagepkg "image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"sync"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// user is a conversation of one message.
func user(text string) []client.Turn { return []client.Turn{{Text: text}} }

// wrong makes a Mismatch.
func wrong(want, got string, args ...any) error {
	return &client.Mismatch{Want: want, Got: client.Clip(fmt.Sprintf(got, args...))}
}

// contains holds a text to one of some words, in any case.
func contains(text string, words ...string) error {
	for _, w := range words {
		if strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			return nil
		}
	}
	return wrong(fmt.Sprintf("a text with %q", words[0]), "%q", text)
}

// counted holds an answer to its usage.
func counted(a *client.Answer) error {
	if a.Usage == nil || a.Usage.Input < 1 || a.Usage.Output < 1 {
		return wrong("usage with tokens of input and output", "%+v", a.Usage)
	}
	return nil
}

// ended holds an answer to why it ended.
func ended(a *client.Answer, want client.Finish) error {
	if a.Finish != want {
		return wrong(fmt.Sprintf("the finish reason %q", want), "%q", a.Finish)
	}
	return nil
}

func text(ctx context.Context, p *probe) error {
	if applies(p.model.id) {
		return apply(ctx, p)
	}
	a, err := p.say(ctx, client.Ask{Turns: user("Reply with the single word pong.")})
	if err != nil {
		return err
	}
	return first(contains(a.Text, "pong"), ended(a, client.Stop), counted(a))
}

// first is the first error that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// applies says that a model is one of Morph's that merge an edit into a file, and do nothing else.
func applies(id string) bool { return strings.Contains(id, "morph-v3-") }

// The edit that such a model is given, and what comes of it: byte for byte, that is what it is for.
const (
	applyAsk = "<instruction>Change the greeting to Hallo</instruction>\n<code>package a\n\nconst greeting = \"<Hello & bye>\"\n</code>\n" +
		"<update>const greeting = \"<Hallo & bye>\"\n</update>"
	applyWant = "package a\n\nconst greeting = \"<Hallo & bye>\""
)

func apply(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: user(applyAsk)})
	if err != nil {
		return err
	}
	if strings.TrimRight(a.Text, "\n") != applyWant {
		return wrong(fmt.Sprintf("%q", applyWant), "%q", a.Text)
	}
	return ended(a, client.Stop)
}

// unasked is a stream that has not asked for usage.
func unasked(ctx context.Context, p *probe) error {
	a, _, err := p.ask(ctx, p.p, client.Ask{Model: p.model.id, Turns: user("Reply with the single word pong."), Stream: true, Limit: outputLimit})
	if err != nil {
		return err
	}
	return ended(a, client.Stop)
}

// shortest is what every provider takes as a limit, in tokens.
const shortest = 16

func length(ctx context.Context, p *probe) error {
	if applies(p.model.id) {
		return skip{"the model only merges edits"}
	}
	a, err := p.say(ctx, client.Ask{Turns: user("Count from 1 to 300 in digits, separated by spaces. Do not stop early."), Limit: shortest})
	if err != nil {
		return err
	}
	if err := ended(a, client.Length); err != nil {
		return err
	}
	if a.Usage != nil && a.Usage.Output > 2*shortest {
		return wrong(fmt.Sprintf("at most %d tokens of output", shortest), "%d", a.Usage.Output)
	}
	return nil
}

// red is a picture of one colour.
var red = sync.OnceValue(func() []byte {
	picture := imagepkg.NewRGBA(imagepkg.Rect(0, 0, 64, 64))
	draw.Draw(picture, picture.Bounds(), imagepkg.NewUniform(color.RGBA{R: 255, A: 255}), imagepkg.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil // a buffer takes everything
	}
	return b.Bytes()
})

// demoSaw and demoHeard are what the gateway's demo model says in place of looking and reading: it does neither.
const (
	demoSaw   = "I received an image."
	demoHeard = "The tool's result arrived"
)

func image(ctx context.Context, p *probe) error {
	a, err := p.say(ctx, client.Ask{Turns: []client.Turn{{Text: "Which colour is this picture? Reply with one word.", Image: red()}}})
	if err != nil {
		return err
	}
	return first(contains(a.Text, "red", demoSaw), ended(a, client.Stop), counted(a))
}
