package replay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stream with several copies is read where its leader is, however often one has to ask for that: another copy may not have
// what was said last.
func TestAStreamWithCopiesIsReadAtItsLeader(t *testing.T) {
	t.Parallel()
	js := bustest.StartCluster(t).Connect().JetStream()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SAID", Subjects: []string{"said.>"}, Replicas: 3, Storage: jetstream.FileStorage})
	require.NoError(t, err)
	for n := range 50 {
		_, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: fmt.Sprint("said.", n%2), Data: fmt.Append(nil, n)})
		require.NoError(t, err)
	}
	for range 5 {
		var got []string
		err := replay.Each(t.Context(), js, replay.Scan{Stream: "SAID", Subjects: []string{"said.1"}}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
			if got = append(got, string(m.Data())); len(got) > 1 {
				return true, nil
			}
			info, err := stream.Info(t.Context())
			require.NoError(t, err)
			consumers := stream.ListConsumers(t.Context())
			n := 0
			for c := range consumers.Info() {
				n++
				require.Equal(t, info.Cluster.Leader, c.Cluster.Leader)
			}
			require.NoError(t, consumers.Err())
			require.Equal(t, 1, n, "those that were put elsewhere are gone")
			return true, nil
		})
		require.NoError(t, err)
		require.Len(t, got, 25)
		require.Equal(t, []string{"1", "49"}, []string{got[0], got[24]})
	}
}

// Who reads with rests waits between two pages for as many times what the one before took, and no longer when it is stopped.
func TestReadingWithRests(t *testing.T) {
	t.Parallel()
	const page, takes, rest = 500, 30 * time.Millisecond, 4
	js := bustest.Start(t).Connect().JetStream()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SAID", Subjects: []string{"said.>"}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	for n := range 2*page + 1 {
		_, err := js.PublishMsgAsync(&nats.Msg{Subject: "said.x", Data: fmt.Append(nil, n)})
		require.NoError(t, err)
	}
	<-js.PublishAsyncComplete()

	read, ended := 0, time.Time{}
	scan := replay.Scan{Stream: "SAID", Rest: rest}
	err = replay.Each(t.Context(), js, scan, func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
		require.Equal(t, fmt.Append(nil, read), m.Data())
		if read++; read > page && read%page == 1 {
			require.GreaterOrEqual(t, time.Since(ended), rest*takes)
		}
		if read%page == 0 {
			<-time.After(takes) // what reading it takes
			ended = time.Now()
		}
		return true, nil
	})
	require.NoError(t, err)
	require.Equal(t, 2*page+1, read)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read = 0
	scan.Rest = 1_000_000 // the longest rest that there is
	began := time.Now()
	err = replay.Each(ctx, js, scan, func(jetstream.Msg, *jetstream.MsgMetadata) (bool, error) {
		if read++; read == page {
			cancel()
		}
		return true, nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, page, read)
	require.Less(t, time.Since(began), 5*time.Second)
}
