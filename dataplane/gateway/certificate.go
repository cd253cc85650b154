package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"
)

// Files of a mounted Secret of type kubernetes.io/tls.
const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// certificate is the one in a folder, read again as it changes. A pair that cannot be used changes nothing: the last good
// one stays.
type certificate struct {
	dir   string
	log   *slog.Logger
	now   func() time.Time
	every time.Duration

	mu     sync.Mutex
	looked time.Time
	pair   *tls.Certificate
}

// newCertificate reads the folder a first time; without a good pair nobody could connect, so that is an error.
func newCertificate(dir string, log *slog.Logger, now func() time.Time, every time.Duration) (*certificate, error) {
	c := &certificate{dir: dir, log: log, now: now, every: every, looked: now()}
	pair, err := c.read()
	if err != nil {
		return nil, err
	}
	c.pair = pair
	return c, nil
}

func (c *certificate) read() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.dir, certFile), filepath.Join(c.dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return &pair, nil
}

// get is what a handshake gets. It reads the files again where the last look is old enough; one handshake pays for it.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= c.every {
		c.looked = now
		pair, err := c.read()
		switch {
		case err != nil:
			c.log.Error("Certificate is not read again", "error", err)
		default:
			c.pair = pair
		}
	}
	if c.pair == nil {
		return nil, errors.New("no certificate")
	}
	return c.pair, nil
}

// config serves the API with it, over HTTP/2 where the client speaks it.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}
}
