package signed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/parley-dm/parley/pkg/publicnet"
)

// ErrPrivate is an address that may not be called.
var ErrPrivate = publicnet.ErrPrivate

// Reach is whom posts may reach.
type Reach struct {
	// Private lets addresses be of private networks, and at plain http.
	Private bool
	// Setting is the variable that says so, for errors.
	Setting string
	// Resolver looks names up; the system's if nil.
	Resolver *net.Resolver
}

func (r Reach) refused() error { return fmt.Errorf("%w (%s allows it)", ErrPrivate, r.Setting) }

// Check says what is wrong with an address. Names are looked up when they are called, and checked then.
func (r Reach) Check(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || len(raw) > 1000:
		return errors.New("expected such as https://example.com/parley")
	case u.User != nil || u.Fragment != "":
		return errors.New("expected one without a user, a password and a #fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !r.Private):
		return fmt.Errorf("got %s://, expected https://", u.Scheme)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !r.Private && !publicnet.Public(ip) {
		return r.refused()
	}
	return nil
}

// Client calls nobody whom it may not, whatever a name resolves to when it is called. It asks no proxy: the proxy would look the
// name up, after the check. timeout bounds one post, atOnce the connections.
func (r Reach) Client(timeout time.Duration, atOnce int) *http.Client {
	dialer := publicnet.Dialer()
	dialer.Resolver = r.Resolver
	check := dialer.ControlContext
	// Of the very address that is connected to, after every look-up: a name that changes its mind gains nothing.
	dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		switch {
		case r.Private:
			return nil
		case check(ctx, network, address, c) != nil:
			return r.refused()
		}
		return nil
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: timeout,
			MaxIdleConns: atOnce, MaxConnsPerHost: atOnce, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
