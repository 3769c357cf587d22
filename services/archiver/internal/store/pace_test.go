package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/archiver/internal/record"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

// awayWriter is a database that is away at first, and says of what it is given later how many batches it is given at once.
type awayWriter struct {
	mu    sync.Mutex
	away  bool
	tried map[string]bool // the first message of each batch that was held while it was away
	now   int
	most  int
	rows  int
}

func (w *awayWriter) Write(ctx context.Context, facts []record.Facts) error {
	first := facts[0].Messages[0].MID
	w.mu.Lock()
	if w.away {
		w.tried[first] = true
		w.mu.Unlock()
		return errors.New("away")
	}
	held := w.tried[first]
	if !held {
		w.now++
		w.most = max(w.most, w.now)
	}
	w.mu.Unlock()
	transaction := time.NewTimer(time.Millisecond)
	defer transaction.Stop()
	select {
	case <-transaction.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !held {
		w.now--
	}
	w.rows += len(facts)
	return nil
}

func (w *awayWriter) ends() { w.mu.Lock(); w.away = false; w.mu.Unlock() }

func TestWhatGatheredIsWrittenByOneWriterAtATime(t *testing.T) {
	t.Parallel()
	const rows, messages, writers = 10, 100, 2
	w, c := &awayWriter{away: true, tried: map[string]bool{}}, &counter{}
	b := store.NewBatcher(w, store.Options{Rows: rows, Writers: writers, Wait: time.Millisecond}, c)
	t.Cleanup(b.Close)
	var facts []record.Facts
	for i := range messages {
		facts = append(facts, message(fmt.Sprintf("m%d", i), "hi"))
	}
	results := make(chan []error, 1)
	go func() { results <- addAll(b, facts) }()
	// Two seconds: many times what the rest takes at its pace, which holds for as long.
	require.Eventually(t, func() bool { return c.away.Load() > 6*writers }, 30*time.Second, time.Millisecond)
	w.ends()
	for _, err := range <-results {
		require.NoError(t, err)
	}
	require.Equal(t, messages, w.rows)
	require.Equal(t, 1, w.most)
	// One that is not full has nothing behind it.
	require.NoError(t, b.Add(message("last", "hi")))
	require.Positive(t, c.caughtUp.Load())
}

func TestAPaceThatTheLoadOutrunsEnds(t *testing.T) {
	t.Parallel()
	w, c := &awayWriter{away: true, tried: map[string]bool{}}, &counter{}
	b := store.NewBatcher(w, store.Options{Rows: 1, Writers: 2, Wait: time.Millisecond}, c) // each is a full batch
	t.Cleanup(b.Close)
	go func() { _ = b.Add(message("held", "hi")) }()
	require.Eventually(t, func() bool { return c.away.Load() > 0 }, 30*time.Second, time.Millisecond)
	w.ends()
	n := 0
	require.Eventually(t, func() bool {
		n++
		require.NoError(t, b.Add(message(fmt.Sprintf("m%d", n), "hi")))
		return c.caughtUp.Load() > 0
	}, 60*time.Second, time.Millisecond)
}
