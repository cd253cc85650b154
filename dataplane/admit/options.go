package admit

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/redis/rueidis"
)

// Defaults of Options.
const (
	DefaultTimeout = time.Second
	DefaultIdle    = 24 * time.Hour
	DefaultKeyAge  = time.Minute
)

// Options says which Redis (6.2 or newer, alone or a cluster, `noeviction`) and how patient to be with it.
type Options struct {
	// URL is redis://[user:password@]host:port[/db] or rediss:// for TLS; more nodes of a cluster as ?addr=host:port.
	URL string
	// TLS replaces what rediss:// means by default (TLS 1.2 and the system's authorities); nil: the default.
	TLS *tls.Config
	// Timeout bounds dialling and each call; 0: DefaultTimeout.
	Timeout time.Duration
	// Idle is how long the copy of an account or a key lives after it was last loaded or confirmed; 0: DefaultIdle. After
	// it the caller is asked to load it again. A revoked key's tombstone has no end.
	Idle time.Duration
	// KeyAge is how old the copy of a key may be to admit a request; 0: DefaultKeyAge. Where Redis loses a change of a key
	// unnoticed, the change acts after this time.
	KeyAge time.Duration
}

// client turns Options into the driver's own.
func (o Options) client() (rueidis.ClientOption, error) {
	opt, err := rueidis.ParseURL(o.URL)
	if err != nil {
		return opt, fmt.Errorf("parsing the redis URL: %w", redact(err))
	}
	if o.TLS != nil && opt.TLSConfig != nil {
		name := opt.TLSConfig.ServerName
		if opt.TLSConfig = o.TLS.Clone(); opt.TLSConfig.ServerName == "" {
			opt.TLSConfig.ServerName = name
		}
	}
	// Client-side caching needs CLIENT TRACKING, which the embedded store does not have.
	opt.DisableCache = true
	opt.Dialer = net.Dialer{Timeout: o.Timeout}
	opt.ConnWriteTimeout = max(o.Timeout, time.Second)
	return opt, nil
}

// redact takes the URL, which may hold a password, out of an error of url.Parse.
func redact(err error) error {
	var broken *url.Error
	if errors.As(err, &broken) {
		return errors.New("not a URL")
	}
	return err
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.KeyAge <= 0 {
		o.KeyAge = DefaultKeyAge
	}
	return o
}
