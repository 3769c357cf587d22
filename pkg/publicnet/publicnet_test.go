package publicnet_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/publicnet"
)

func TestOnlyAddressesOfAnybodyArePublic(t *testing.T) {
	t.Parallel()
	for _, ip := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16",
		"192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::7f00:1", "::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
		"2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		require.False(t, publicnet.Public(netip.MustParseAddr(ip)), ip)
	}
	for _, ip := range []string{"1.1.1.1", "157.240.1.1", "172.32.0.1", "2606:4700::1111", "2a03:2880:f003::1", "::ffff:8.8.8.8"} {
		require.True(t, publicnet.Public(netip.MustParseAddr(ip)), ip)
	}
	require.False(t, publicnet.Public(netip.Addr{}))
}

// What a name leads to is looked at when it is connected to.
func TestTheDialerLooksAtWhatItConnectsTo(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1", "0.0.0.0"} {
		_, err := publicnet.Dialer().DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		require.ErrorIs(t, err, publicnet.ErrPrivate, host)
	}
}
