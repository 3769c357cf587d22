package sweep_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/sweep"
)

// sweeper plays a store with so much left to be swept, that is away now and then.
type sweeper struct {
	mu   sync.Mutex
	left int
	away bool
	at   []time.Duration
	from time.Time
}

func (s *sweeper) Sweep(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Since(s.from))
	if s.away {
		return false, errors.New("the database is away")
	}
	s.left--
	return s.left > 0, nil
}

// then says whether the database is away from now on, and when it was asked since the last time.
func (s *sweeper) then(away bool) (at []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, s.at, s.away = s.at, nil, away
	return at
}

func TestWhatIsOverIsSweptEveryHourAndAllOfIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &sweeper{left: 3, from: time.Now()}
		done := make(chan error, 1)
		go func() { done <- sweep.Run(ctx, s, slog.New(slog.DiscardHandler), 0) }()
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 0, 0}, s.then(true), "at the start, until nothing is left")
		<-time.After(sweep.Every + time.Minute)
		require.Equal(t, []time.Duration{sweep.Every}, s.then(false), "and every hour, whether or not it could be done")
		<-time.After(sweep.Every)
		require.Equal(t, []time.Duration{2 * sweep.Every}, s.then(false))
		cancel()
		require.NoError(t, <-done)
	})
}
