package bus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

func bucket(t *testing.T, f *fixture) *bus.Bucket {
	t.Helper()
	_, err := f.conn.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "things"})
	require.NoError(t, err)
	b, err := bus.OpenBucket(t.Context(), f.conn, "things")
	require.NoError(t, err)
	return b
}

func TestBucketComparesAndSets(t *testing.T) {
	t.Parallel()
	f := setup(t)
	b, ctx := bucket(t, f), t.Context()
	_, err := b.Get(ctx, "k")
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
	first, err := b.Create(ctx, "k", []byte("one"))
	require.NoError(t, err)
	_, err = b.Create(ctx, "k", []byte("two"))
	require.ErrorIs(t, err, bus.ErrKeyExists)
	second, err := b.Update(ctx, "k", []byte("two"), first)
	require.NoError(t, err)
	_, err = b.Update(ctx, "k", []byte("three"), first)
	require.ErrorIs(t, err, bus.ErrWrongRevision)
	e, err := b.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "two", string(e.Value))
	require.Equal(t, second, e.Revision)
	third, err := b.Put(ctx, "k", []byte("whatever"))
	require.NoError(t, err)
	require.Greater(t, third, second)

	require.NoError(t, b.Delete(ctx, "k"))
	_, err = b.Get(ctx, "k")
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
	again, err := b.Create(ctx, "k", []byte("after its deletion"))
	require.NoError(t, err)
	require.Greater(t, again, third)

	_, err = bus.OpenBucket(ctx, f.conn, "missing")
	require.Error(t, err)
}

func TestOfManyWhoWriteAKeyAtOnceOneWins(t *testing.T) {
	t.Parallel()
	b := bucket(t, setup(t))
	ctx := t.Context()
	for round := range 10 {
		key := fmt.Sprintf("k%d", round)
		race := func(write func() error) (won int32) {
			var wg sync.WaitGroup
			var n atomic.Int32
			for range 16 {
				wg.Go(func() {
					if write() == nil {
						n.Add(1)
					}
				})
			}
			wg.Wait()
			return n.Load()
		}
		require.Equal(t, int32(1), race(func() error { _, err := b.Create(ctx, key, []byte("x")); return err }))
		e, err := b.Get(ctx, key)
		require.NoError(t, err)
		require.Equal(t, int32(1), race(func() error { _, err := b.Update(ctx, key, []byte("y"), e.Revision); return err }))
	}
}

func TestBucketWatch(t *testing.T) {
	t.Parallel()
	b := bucket(t, setup(t))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.Put(ctx, "a.1", []byte("before"))
	require.NoError(t, err)
	_, err = b.Put(ctx, "b.1", []byte("of no interest"))
	require.NoError(t, err)
	seen, done := make(chan string, 10), make(chan error, 1)
	go func() {
		done <- b.Watch(ctx, "a.>", func(e *bus.Entry) {
			switch {
			case e == nil:
				seen <- "that is all"
			case e.Deleted:
				seen <- "deleted " + e.Key
			default:
				seen <- e.Key + "=" + string(e.Value)
			}
		})
	}()
	require.Equal(t, "a.1=before", <-seen)
	require.Equal(t, "that is all", <-seen)
	_, err = b.Put(ctx, "a.2", []byte("after"))
	require.NoError(t, err)
	require.Equal(t, "a.2=after", <-seen)
	require.NoError(t, b.Delete(ctx, "a.1"))
	require.Equal(t, "deleted a.1", <-seen)
	cancel()
	require.NoError(t, <-done)
}

func TestABucketWhoseServerIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	f := setup(t)
	b := bucket(t, f)
	rev, err := b.Create(t.Context(), "k", []byte("x"))
	require.NoError(t, err)
	f.server.Down()
	_, err = b.Get(t.Context(), "k")
	require.ErrorIs(t, err, bus.ErrUnavailable)
	_, err = b.Create(t.Context(), "j", nil)
	require.ErrorIs(t, err, bus.ErrUnavailable)
	_, err = b.Update(t.Context(), "k", nil, rev)
	require.ErrorIs(t, err, bus.ErrUnavailable)
	_, err = b.Put(t.Context(), "k", nil)
	require.ErrorIs(t, err, bus.ErrUnavailable)
	require.ErrorIs(t, b.Delete(t.Context(), "k"), bus.ErrUnavailable)
	require.Error(t, f.conn.Ready(t.Context()))
}
