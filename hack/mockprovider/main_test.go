package main

import (
	"context"
	"testing"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, []string{"--listen", "127.0.0.1:0"}); err != nil {
		t.Error(err)
	}
	if err := run(ctx, []string{"--listen", "nowhere:x"}); err == nil {
		t.Error("a wrong address is served")
	}
}
