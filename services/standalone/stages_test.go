package standalone

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// record is what happened, in order.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, s)
}

func (r *record) stage(name string) stage {
	return stage{name, func(ctx context.Context) error {
		<-ctx.Done()
		r.add(name)
		return ctx.Err()
	}}
}

func TestStagesStopInReverse(t *testing.T) {
	t.Parallel()
	var r record
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, runStages(ctx, []stage{r.stage("archiver"), r.stage("sender"), r.stage("ingress")}, time.Minute))
	require.Equal(t, []string{"ingress", "sender", "archiver"}, r.lines)
}

func TestAStageThatFailsStopsAll(t *testing.T) {
	t.Parallel()
	var r record
	full := errors.New("the disk is full")
	failing := stage{"sender", func(context.Context) error { return full }}
	err := runStages(t.Context(), []stage{r.stage("archiver"), failing, r.stage("ingress")}, time.Minute)
	require.ErrorIs(t, err, full)
	require.Equal(t, "sender: the disk is full", err.Error())
	require.Equal(t, []string{"ingress", "archiver"}, r.lines)

	silent := stage{"sender", func(context.Context) error { return nil }}
	require.ErrorIs(t, runStages(t.Context(), []stage{silent}, time.Minute), errEnded)
}

func TestAStageThatDoesNotStopKeepsTheOthersWaitingForItsShareOnly(t *testing.T) {
	t.Parallel()
	var r record
	release, left := make(chan struct{}), make(chan struct{})
	stuck := stage{"sender", func(context.Context) error { defer close(left); <-release; return nil }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := runStages(ctx, []stage{r.stage("archiver"), stuck, r.stage("ingress")}, 50*time.Millisecond)
	require.EqualError(t, err, "sender did not stop in time (SHUTDOWN_TIMEOUT)")
	require.Equal(t, []string{"ingress", "archiver"}, r.lines)
	close(release)
	<-left
}
