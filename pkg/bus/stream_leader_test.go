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

// However often another copy takes the lead, what a stream's leader tells has everything that was acknowledged.
func TestWhatTheLeaderTells(t *testing.T) {
	t.Parallel()
	conn := bustest.StartCluster(t).Connect()
	js := conn.JetStream()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SAID", Subjects: []string{"said.>"}, Replicas: 3, Storage: jetstream.FileStorage})
	require.NoError(t, err)
	led := map[string]bool{}
	for n := range uint64(6) {
		_, err := js.Publish(t.Context(), "said.x", nil)
		require.NoError(t, err)
		info, err := bus.LeaderInfo(t.Context(), stream)
		require.NoError(t, err)
		require.True(t, bus.FromLeader(info))
		require.Equal(t, n+1, info.State.LastSeq)
		led[info.Cluster.Leader] = true
		_, err = js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN.SAID", nil, 5*time.Second)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			info, err := bus.LeaderInfo(t.Context(), stream)
			return err == nil && info.State.LastSeq == n+1
		}, 20*time.Second, 10*time.Millisecond)
	}
	require.Greater(t, len(led), 1)
}

func TestTheOneCopyOfAStreamNeedsNoLeader(t *testing.T) {
	t.Parallel()
	js := bustest.Start(t).Connect().JetStream()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SAID", Subjects: []string{"said.>"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "said.x", nil)
	require.NoError(t, err)
	info, err := bus.LeaderInfo(t.Context(), stream, jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"said.x": 1}, info.State.Subjects)
}

// Who asks a server that has gone is told so, long before its own time is over.
func TestAServerThatHasGoneIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	conn := server.Connect()
	_, err := conn.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
	require.NoError(t, err)
	bucket, err := bus.OpenBucket(t.Context(), conn, "b")
	require.NoError(t, err)
	server.Down()
	for name, ask := range map[string]func(context.Context) error{
		"a stream":       func(ctx context.Context) error { _, err := bus.OpenStream(ctx, conn.JetStream(), "KV_b"); return err },
		"a bucket":       func(ctx context.Context) error { _, err := bus.OpenBucket(ctx, conn, "b"); return err },
		"a bucket's key": func(ctx context.Context) error { _, err := bucket.Get(ctx, "k"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			began := time.Now()
			require.Error(t, ask(ctx))
			require.Less(t, time.Since(began), time.Minute)
		})
	}
}
