package fence_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/services/ingress/internal/fence"
)

// faulty is a bucket of a bus that has lost what is behind it, while its servers answer: it takes nothing, or tells nothing.
type faulty struct {
	fence.Bucket
	mute, deaf *atomic.Bool
}

func (b faulty) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	if b.mute.Load() {
		<-ctx.Done()
		return 0, errors.Join(bus.ErrUnavailable, ctx.Err())
	}
	return b.Bucket.Put(ctx, key, value)
}

// Watch tells nothing any more when it was deaf once: its consumer is gone.
func (b faulty) Watch(ctx context.Context, keys string, f func(*bus.Entry)) error {
	gone := false
	return b.Bucket.Watch(ctx, keys, func(e *bus.Entry) {
		if gone = gone || b.deaf.Load(); !gone {
			f(e)
		}
	})
}

// faults has a replica work with a faulty bucket.
func faults(mute, deaf *atomic.Bool) func(*fence.Options) {
	return func(o *fence.Options) {
		open := o.Open
		o.Open = func(ctx context.Context) (fence.Bucket, error) {
			b, err := open(ctx)
			return faulty{b, mute, deaf}, err
		}
	}
}

// A cluster that chooses a leader answers pings, and takes nothing. One that spools meanwhile cannot tell; one that has nothing to
// do meanwhile must find out all the same, or it would overtake the other when it is over.
func TestABucketThatTakesNothingIsAnOutageForAll(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	var mute, never atomic.Bool
	a, idle := startWith(t, "a", server.Connect(), faults(&mute, &never)), startWith(t, "b", server.Connect(), faults(&mute, &never))
	a.opens(t, 1)
	idle.opens(t, 1)
	mute.Store(true)
	idle.shuts(t, 2)
	require.False(t, idle.Live())
	a.holds(record(1).At, 1)
	a.Tell(t.Context()) // in vain
	mute.Store(false)
	idle.opens(t, 2)
	require.False(t, idle.Open([]uint16{1}), "what the other holds is known before it opens")
	a.holds(time.Time{})
	idle.opens(t, 1)
}

// What another told a moment before an outage says nothing of what it holds after it.
func TestWhatWasToldJustBeforeAnOutageDoesNotCount(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	var muteA, muteB, never atomic.Bool
	a, b := startWith(t, "a", server.Connect(), faults(&muteA, &never)), startWith(t, "b", server.Connect(), faults(&muteB, &never))
	a.opens(t, 1)
	b.opens(t, 1)
	muteA.Store(true)
	b.Tell(t.Context()) // later than anything that a heard itself say
	muteB.Store(true)
	a.shuts(t, 1)
	b.shuts(t, 1)
	b.holds(record(1).At, 1)
	muteA.Store(false)
	require.Never(t, func() bool { return a.Open([]uint16{1}) }, time.Second, 5*time.Millisecond, "the other is not back yet")
	muteB.Store(false)
	a.opens(t, 2)
	require.False(t, a.Open([]uint16{1}))
}

// A watch whose server is gone tells nothing for many seconds. It begins anew, and nothing is published before.
func TestAWatchThatTellsNothingBeginsAnew(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	var never, deaf atomic.Bool
	a, b := start(t, "a", server.Connect()), startWith(t, "b", server.Connect(), faults(&never, &deaf))
	a.opens(t, 1)
	b.opens(t, 1)
	deaf.Store(true)
	b.shuts(t, 1)
	a.holds(record(1).At, 1)
	a.Tell(t.Context())
	deaf.Store(false) // the next watch is a good one
	b.opens(t, 2)
	require.False(t, b.Open([]uint16{1}))
}

// A server that does not answer is left before webhooks have waited for too long.
func TestAServerThatDoesNotAnswerIsLeft(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	var stopped atomic.Bool
	left := make(chan time.Time, 100)
	conn := server.Connect()
	a := startWith(t, "a", conn, func(o *fence.Options) {
		o.Ping = func(ctx context.Context) error {
			if stopped.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return conn.Flush(ctx)
		}
		o.Reconnect = func() { left <- time.Now() }
	})
	a.opens(t, 1)
	select {
	case <-left:
		require.FailNow(t, "it answers")
	case <-time.After(time.Second):
	}
	begin := time.Now()
	stopped.Store(true)
	select {
	case at := <-left:
		require.Less(t, at.Sub(begin), patience)
	case <-time.After(patience):
		require.FailNow(t, "it is not left")
	}
	a.shuts(t, 1)
	stopped.Store(false)
	a.opens(t, 1)
}
