package transport

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRoundTripperOfOnesOwn(t *testing.T) {
	c := New(Options{RoundTripper: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 418, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(r.URL.Path + " got " + string(sent)))}, nil
	})})
	a, err := c.Do(context.Background(), chat.Call{Request: &chat.Request{}, Provider: &snapshot.Provider{}}, Request{
		URL: "http://nowhere.invalid/path", Header: http.Header{}, Body: [][]byte{[]byte("a"), []byte("b")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	body, err := a.Whole()
	if err != nil || a.Status != 418 || string(body) != "/path got ab" {
		t.Errorf("%d %q, %v", a.Status, body, err)
	}
}
