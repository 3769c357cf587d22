// Package porttest gives tests ports to listen on that must be known before somebody listens.
package porttest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ports are from below those that systems choose for outgoing connections (32768 and up on Linux, 49152 elsewhere): one that
// was free a moment ago is not taken by somebody's connection before the test listens.
const lowest, count = 10_000, 20_000

// next gives them out in turn; the first is any, because other test programs run beside this one.
var next = func() *atomic.Int32 {
	var first atomic.Int32
	first.Store(rand.Int32N(count))
	return &first
}()

// Free is a TCP port of the loopback address on which nobody listens.
func Free(t testing.TB) int {
	t.Helper()
	for range count {
		port := lowest + int(next.Add(1))%count
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		return port
	}
	require.Fail(t, "no port is free")
	return 0
}
