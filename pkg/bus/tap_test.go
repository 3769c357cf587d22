package bus_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

// What is published is heard; a break of the connection is told, so that what was missed can be read.
func TestATapHearsAndSaysWhenItMayHaveMissedSomething(t *testing.T) {
	t.Parallel()
	f := setup(t)
	proxy := f.server.Proxy(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: proxy.URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	heard, again := make(chan string, 10), make(chan struct{}, 10)
	stop, err := conn.Tap(t.Context(), "jobs.>", func(b []byte) { heard <- string(b) }, func() { again <- struct{}{} })
	require.NoError(t, err)
	say := func(what string) {
		require.NoError(t, f.pub.Publish("jobs.1", message.NewMessage(what, []byte(what))))
	}
	say("one")
	require.Equal(t, "one", <-heard)
	proxy.Cut()
	select {
	case <-again:
	case <-time.After(20 * time.Second):
		require.FailNow(t, "the break was not told")
	}
	require.NoError(t, conn.Flush(t.Context()), "the server knows of the tap again")
	say("two")
	require.Equal(t, "two", <-heard)

	stop()
	require.NoError(t, conn.Flush(t.Context()))
	say("three")
	require.NoError(t, conn.Flush(t.Context()))
	require.Empty(t, heard)

	conn.Close()
	_, err = conn.Tap(t.Context(), "jobs.>", func([]byte) {}, func() {})
	require.ErrorContains(t, err, "tap jobs.>")
}
