package replay_test

import (
	"fmt"
	"testing"

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
