package web_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/web"
)

func TestAttemptsAreBoundedAndComeBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	a := web.NewAttempts(func() time.Time { return now })
	tries := func(account, addr string) (n int) {
		for range 1000 {
			if _, ok := a.Try(account, addr); !ok {
				return n
			}
			n++
		}
		return n
	}
	require.Equal(t, 10, tries("ann@example.com", "192.0.2.1"))
	wait, ok := a.Try("ann@example.com", "192.0.2.2")
	require.False(t, ok, "from another address too")
	require.Equal(t, 30*time.Second, wait)
	now = now.Add(30 * time.Second)
	require.Equal(t, 1, tries("ann@example.com", "192.0.2.2"))
	a.Succeeded("ann@example.com")
	require.Equal(t, 10, tries("ann@example.com", "192.0.2.3"), "who has succeeded is no guesser")

	n := 0
	for i := range 100 {
		if _, ok := a.Try("user"+strconv.Itoa(i), "2001:db8::"+strconv.Itoa(i)); ok {
			n++
		}
	}
	require.Equal(t, 30, n, "one network of IPv6 is one guesser")
}

func TestMillionsOfGuessersTakeNoMemoryWithoutEnd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	a := web.NewAttempts(func() time.Time { return now })
	for i := range 100_000 {
		now = now.Add(time.Millisecond)
		a.Try("user"+strconv.Itoa(i), "192.0."+strconv.Itoa(i/256%256)+"."+strconv.Itoa(i%256))
	}
	require.LessOrEqual(t, a.Tracked(), 40_000)
}
