package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

func TestTrimRemovesOnlyWhatEverybodySettled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	ctx := t.Context()
	stream, err := c.conn.JetStream().UpdateStream(ctx, jetstream.StreamConfig{
		Name: "WORK", Subjects: []string{"work.>"}, Duplicates: time.Minute, MaxBytes: 400 << 10, Discard: jetstream.DiscardNew,
	})
	require.NoError(t, err)
	leases, err := bus.OpenBucket(ctx, c.conn, "leases")
	require.NoError(t, err)
	trim := func() bus.TrimResult {
		r, err := bus.Trim(ctx, c.conn, bus.TrimConfig{Stream: "WORK", Leases: leases})
		require.NoError(t, err)
		return r
	}
	fill := func(from, to int) {
		payload := bytes.Repeat([]byte("x"), 1000)
		for i := from; i < to; i++ {
			m := message.NewMessage(fmt.Sprintf("k0.%d", i), payload)
			m.Metadata["key"] = "k0"
			require.NoError(t, c.publisher.PublishAll(ctx, bus.Addressed{Subject: "work.0.k0", Message: m}))
		}
	}
	a := c.join("a", nil)
	c.requireShares(15*time.Second, a)
	fill(0, 100)
	c.requireAll(1, 100, 10*time.Second)
	require.Zero(t, trim().Removed, "there is room")

	// The owner leaves: what comes now is wanted by nobody who lives, and must stay all the same.
	a.leave()
	fill(100, 320)
	r := trim()
	require.Equal(t, uint64(101), r.Wanted)
	require.LessOrEqual(t, r.Removed, uint64(100))
	require.Positive(t, r.Removed)
	require.Zero(t, trim().Removed, "only settled messages were to be had")

	b := c.join("b", nil)
	c.requireAll(1, 320, 10*time.Second)
	b.leave()
	fill(320, 400)
	require.Positive(t, trim().Removed)
	info, err := stream.Info(context.Background())
	require.NoError(t, err)
	require.Less(t, info.State.Bytes, uint64(330<<10))
}
