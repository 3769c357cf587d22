package ports_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/standalone/internal/ports"
)

func taken(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l.Addr().String()
}

func TestEveryPortThatIsTakenIsNamed(t *testing.T) {
	t.Parallel()
	a, b := taken(t), taken(t)
	err := ports.Check(t.Context(), []ports.Port{
		{What: "webhooks", Variable: "PORT", Addr: a, PortOnly: true},
		{What: "metrics", Variable: "ADMIN_ADDR", Addr: "127.0.0.1:0"},
		{What: "the simulator", Variable: "SIMULATOR_ADDR", Addr: b},
	})
	_, port, splitErr := net.SplitHostPort(a)
	require.NoError(t, splitErr)
	require.ErrorContains(t, err, "port "+port+", for webhooks")
	require.Regexp(t, `PORT=\d+\n`, err.Error())
	require.Regexp(t, `SIMULATOR_ADDR=127\.0\.0\.1:\d+`, err.Error())
	require.NotContains(t, err.Error(), "ADMIN_ADDR")
	require.False(t, ports.Free(t.Context(), a))
	require.True(t, ports.Free(t.Context(), "127.0.0.1:0"))
}

func TestTwoOfOursOnOnePort(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	free := l.Addr().String()
	require.NoError(t, l.Close())
	err = ports.Check(t.Context(), []ports.Port{
		{What: "webhooks", Variable: "PORT", Addr: free, PortOnly: true},
		{What: "metrics", Variable: "ADMIN_ADDR", Addr: free},
	})
	require.ErrorContains(t, err, "wanted twice, by PORT and ADMIN_ADDR")
}

func TestAnAddressThatIsNotOurs(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, ports.Check(t.Context(), []ports.Port{{What: "metrics", Variable: "ADMIN_ADDR", Addr: "192.0.2.1:9"}}), "ADMIN_ADDR")
}
