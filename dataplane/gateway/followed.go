package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
)

// lookEvery is how often a URL file is read.
const lookEvery = 10 * time.Second

// followed is a store whose URL is in a mounted file. The file may come late and may change.
type followed struct {
	path  string
	log   *slog.Logger
	every time.Duration
	// point brings the store to another URL. What it cannot use changes nothing.
	point func(url string) error
	// tidy, if set, is called before each look.
	tidy func()
	url  string
}

// look reads the file and follows it, if it names another store. Only one call may run at a time.
func (f *followed) look() {
	if f.tidy != nil {
		f.tidy()
	}
	b, err := os.ReadFile(f.path)
	url := strings.TrimSpace(string(b))
	switch {
	case err != nil:
	case url == "":
		err = fmt.Errorf("%s is empty", f.path)
	case url == f.url:
		return
	default:
		err = f.point(url)
	}
	if err != nil {
		f.log.Error("Store is not opened", "file", f.path, "error", err)
		return
	}
	if f.url != "" {
		f.log.Info("Changed to the store that the file names now", "file", f.path)
	}
	f.url = url
}

// run follows the file until ctx ends.
func (f *followed) run(ctx context.Context) {
	t := time.NewTicker(f.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f.look()
		}
	}
}
