package clock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/services/simulator/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMovingTheClockWakesWhoSleepsOnIt(t *testing.T) {
	t.Parallel()
	c := clock.New()
	woken, at := make(chan bool, 1), c.Now().Add(25*time.Hour)
	go func() { woken <- c.SleepUntil(context.Background(), at, nil) }()
	c.Advance(24 * time.Hour)
	select {
	case <-woken:
		require.Fail(t, "an hour is left")
	default:
	}
	c.Advance(2 * time.Hour)
	require.True(t, <-woken)
	require.Equal(t, 26*time.Hour, c.Ahead())
	require.WithinDuration(t, time.Now().Add(26*time.Hour), c.Now(), time.Minute)
	c.Set(0)
	require.WithinDuration(t, time.Now(), c.Now(), time.Minute)
}

func TestSleepEndsWithItsContextAndWhenWoken(t *testing.T) {
	t.Parallel()
	c := clock.New()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, c.SleepUntil(ctx, c.Now().Add(time.Hour), nil))
	c.Advance(time.Hour)
	require.True(t, c.SleepUntil(t.Context(), time.Time{}, nil), "the zero time has always come")
	require.False(t, c.SleepUntil(ctx, c.Now(), nil), "a time that has come is no reason to go on either")
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	require.True(t, c.SleepUntil(t.Context(), c.Now().Add(time.Hour), wake))
}
