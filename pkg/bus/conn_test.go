package bus_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
)

// A server that stands still is left for another one at once, where there is another one.
func TestAServerThatStandsStillIsLeft(t *testing.T) {
	t.Parallel()
	still, well := bustest.Start(t).Proxy(t), bustest.Start(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: still.URL() + "," + well.URL(), Name: t.Name()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	for range 2 { // to the other, and back
		losses := conn.Losses()
		still.Stall()
		conn.Reconnect()
		require.Eventually(t, func() bool { return conn.Losses() > losses }, 10*time.Second, time.Millisecond, "it is known that what was on its way may be lost")
		still.Resume()
		require.Eventually(t, func() bool { return conn.Flush(t.Context()) == nil }, 10*time.Second, time.Millisecond)
	}

	only, err := bus.Connect(t.Context(), bus.ConnConfig{URL: still.URL(), Name: t.Name()})
	require.NoError(t, err)
	t.Cleanup(only.Close)
	only.Reconnect()
	require.True(t, only.Connected(), "there is no other")
	require.Zero(t, only.Losses())
}
