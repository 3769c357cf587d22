package hooks

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/parley-dm/parley/pkg/publicnet"
)

// ErrPrivate is an address that webhooks may not be at.
var ErrPrivate = fmt.Errorf("%w (CONSOLE_WEBHOOKS_PRIVATE allows others)", publicnet.ErrPrivate)

// CheckURL says what is wrong with a webhook's address. Names are looked up when it is called, and checked then.
func (h *Hooks) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || len(raw) > 1000:
		return errors.New("url: expected such as https://example.com/parley")
	case u.User != nil || u.Fragment != "":
		return errors.New("url: expected one without a user, a password and a #fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !h.o.AllowPrivate):
		return fmt.Errorf("url: got %s://, expected https://", u.Scheme)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !h.o.AllowPrivate && !publicnet.Public(ip) {
		return fmt.Errorf("url: %w", ErrPrivate)
	}
	return nil
}

// client calls nobody whom it may not. It asks no proxy: the proxy would look the name up, after the check.
func (h *Hooks) client() *http.Client {
	dialer := publicnet.Dialer()
	dialer.Resolver = h.o.Resolver
	if h.o.AllowPrivate {
		dialer.ControlContext = nil
	}
	return &http.Client{
		Timeout: postTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: postTimeout,
			MaxIdleConns: atOnce, MaxConnsPerHost: atOnce, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
