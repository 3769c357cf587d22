package topology_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// startServer runs a server inside the test. Package bustest has one too, but stands on a higher floor.
func startServer(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, JetStreamMaxStore: 100 << 30})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func connect(t *testing.T, s *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func TestEnsureMakesEverythingAndChangesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t))
	n, err := topology.Ensure(t.Context(), js, topology.Options{Partitions: 4})
	require.NoError(t, err)
	require.Equal(t, 4, n)
	before := configs(t, js)
	require.Len(t, before, len(topology.Streams())+len(topology.Buckets()))

	n, err = topology.Ensure(t.Context(), js, topology.Options{}) // another default does not change what there is
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Equal(t, before, configs(t, js))
}

func TestEnsureByManyAtOnceAgrees(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	numbers := make([]int, 8)
	var wg sync.WaitGroup
	for i := range numbers {
		js := connect(t, server)
		wg.Go(func() {
			n, err := topology.Ensure(t.Context(), js, topology.Options{Partitions: 2 + i%3})
			if err != nil {
				panic(err)
			}
			numbers[i] = n
		})
	}
	wg.Wait()
	for _, n := range numbers {
		require.Equal(t, numbers[0], n)
	}
	for name, c := range configs(t, connect(t, server)) {
		if kept, ok := c.Metadata["parley.partitions"]; ok {
			require.Equal(t, string(rune('0'+numbers[0])), kept, name)
		}
	}
}

func TestEnsureBringsAStreamUpToDateAndLeavesWhatAnOperatorSet(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t))
	_, err := topology.Ensure(t.Context(), js, topology.Options{})
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	changed := stream.CachedInfo().Config
	changed.Description, changed.MaxBytes, changed.MaxMsgs = "of an older version", topology.Events.MaxBytes*2, 1_000_000
	_, err = js.UpdateStream(t.Context(), changed)
	require.NoError(t, err)

	_, err = topology.Ensure(t.Context(), js, topology.Options{})
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, topology.Events.Description, info.Config.Description)
	require.Equal(t, topology.Events.MaxBytes*2, info.Config.MaxBytes)
	require.Equal(t, int64(1_000_000), info.Config.MaxMsgs)
	require.GreaterOrEqual(t, info.Config.Duplicates, 10*time.Minute)
	require.Equal(t, jetstream.DiscardNew, info.Config.Discard)
}

func TestEnsureRefusesAStreamThatSaysNothingOfItsPartitions(t *testing.T) {
	t.Parallel()
	js := connect(t, startServer(t))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: topology.Events.Name, Subjects: []string{topology.Events.Subjects}})
	require.NoError(t, err)
	_, err = topology.Ensure(t.Context(), js, topology.Options{})
	require.ErrorContains(t, err, "parley.partitions")
}

func configs(t *testing.T, js jetstream.JetStream) map[string]jetstream.StreamConfig {
	t.Helper()
	out := map[string]jetstream.StreamConfig{}
	streams := js.ListStreams(t.Context())
	for s := range streams.Info() {
		out[s.Config.Name] = s.Config
	}
	require.NoError(t, streams.Err())
	return out
}

func TestSubjectsFallIntoTheirPartitionsAndStreams(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.StringMatching(`[0-9]{0,20}`), rapid.String())
		c := dm.Conversation{Channel: dm.ChannelInstagram, Account: id.Draw(t, "account"), Customer: id.Draw(t, "customer")}
		event := topology.EventSubject(&dm.Event{Conversation: c, Kind: dm.KindMessage}, 16)
		require.True(t, strings.HasPrefix(event, strings.TrimSuffix(topology.Events.PartitionFilter(c.Partition(16)), ">")), event)
		intent := topology.IntentSubject(&dm.ReplyIntent{Conversation: c}, 16)
		require.True(t, strings.HasPrefix(intent, strings.TrimSuffix(topology.Intents.PartitionFilter(dm.AccountPartition(c.Channel, c.Account, 16)), ">")), intent)
		for subject, tokens := range map[string]int{
			event: 5, intent: 4, topology.DeliverySubject(&dm.Delivery{Conversation: c, Outcome: dm.OutcomeSent}): 4, topology.DeadSubject("responder", c.Account): 4,
		} {
			require.Len(t, strings.Split(subject, "."), tokens, subject)
			require.NotContains(t, subject, "..")
			require.NotRegexp(t, `[\s*>]`, subject)
		}
	})
}

func TestTokenIsOneToOne(t *testing.T) {
	t.Parallel()
	require.Equal(t, "17841400000000001", topology.Token("17841400000000001"))
	require.Equal(t, "-", topology.Token(""))
	require.Equal(t, "a=2Eb=3D", topology.Token("a.b="))
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if a != b && a != "-" && b != "-" { // no id of Meta's is a dash
			require.NotEqual(t, topology.Token(a), topology.Token(b))
		}
	})
}
