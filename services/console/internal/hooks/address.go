package hooks

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
)

// ErrPrivate is an address that webhooks may not be at.
var ErrPrivate = errors.New("the address is of a private network (CONSOLE_WEBHOOKS_PRIVATE allows it)")

// special are networks beside the private ones that netip knows of: who may reach them is not anybody.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' own
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // translated to IPv4, whatever it is there
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// public says whether an address is anybody's to call.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

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
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !h.o.AllowPrivate && !public(ip) {
		return fmt.Errorf("url: %w", ErrPrivate)
	}
	return nil
}

// client calls nobody whom it may not. It asks no proxy: the proxy would look the name up, after the check.
func (h *Hooks) client() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Resolver: h.o.Resolver}
	if !h.o.AllowPrivate {
		// Of the very address that is connected to, after every look-up: a name that changes its mind gains nothing.
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !public(at.Addr()) {
				return ErrPrivate
			}
			return nil
		}
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
