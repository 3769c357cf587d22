// Package publicnet keeps a program from calling, in somebody else's name, what only it can reach: this machine, private
// networks, what a cloud tells its own machines. An address that is checked when it is written down may be another one when it
// is called; here the address itself is checked, after every look-up, when it is connected to.
//
// It does not judge names, and it makes no requests.
package publicnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrPrivate is an address that is not anybody's to call.
var ErrPrivate = errors.New("the address is not a public one")

// special are networks beside the private ones that netip knows of: who may reach them is not anybody.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),    // carriers' own
	netip.MustParsePrefix("168.63.129.16/32"), // what Azure tells its machines
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // an IPv4 address, as it was once written
	netip.MustParsePrefix("64:ff9b::/96"), // translated to IPv4, whatever it is there
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// Public says whether an address is anybody's to call: not loopback, private, link-local, a carrier's, multicast, reserved, or
// one of these in IPv6's clothes.
func Public(ip netip.Addr) bool {
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

// dialTimeout bounds one connection.
const dialTimeout = 5 * time.Second

// Dialer connects to public addresses only; whatever else a name leads to is [ErrPrivate].
func Dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !Public(at.Addr()) {
			return ErrPrivate
		}
		return nil
	}}
}
