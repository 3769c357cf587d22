package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
)

// A bucket with several copies is read at its leader, with what every other way of reading it would give.
func TestABucketWithCopies(t *testing.T) {
	t.Parallel()
	conn := bustest.StartCluster(t).Connect()
	kv, err := conn.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "copied", Replicas: 3, Storage: jetstream.FileStorage, LimitMarkerTTL: time.Hour})
	require.NoError(t, err)
	b, err := bus.OpenBucket(t.Context(), conn, "copied")
	require.NoError(t, err)
	_, err = b.Get(t.Context(), "a.b")
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
	for n, value := range []string{"one", "", "\x00three"} {
		revision, err := b.Put(t.Context(), "a.b", []byte(value))
		require.NoError(t, err)
		got, err := b.Get(t.Context(), "a.b")
		require.NoError(t, err, n)
		require.Equal(t, []any{"a.b", value, revision, false}, []any{got.Key, string(got.Value), got.Revision, got.Deleted})
		require.WithinDuration(t, time.Now(), got.Created, time.Minute)
	}
	other, err := b.Put(t.Context(), "a.c", []byte("other"))
	require.NoError(t, err)
	_, err = b.Update(t.Context(), "a.c", []byte("newer"), other)
	require.NoError(t, err)
	require.NoError(t, b.Delete(t.Context(), "a.b"))
	_, err = b.Get(t.Context(), "a.b")
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
	require.NoError(t, kv.Purge(t.Context(), "a.c"))
	_, err = b.Get(t.Context(), "a.c")
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
	_, err = b.CreateFor(t.Context(), "a.d", []byte("short"), time.Second)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := b.Get(t.Context(), "a.d")
		return err != nil
	}, 20*time.Second, 50*time.Millisecond)
	_, err = b.Get(t.Context(), "a.d")
	require.ErrorIs(t, err, bus.ErrKeyNotFound, "its time is over")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Get(ended, "a.b")
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, conn.JetStream().DeleteKeyValue(t.Context(), "copied"))
	_, err = b.Get(t.Context(), "a.b")
	require.ErrorContains(t, err, "stream not found")
}
