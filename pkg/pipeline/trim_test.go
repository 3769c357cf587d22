package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
	"github.com/parley-dm/parley/pkg/topology"
)

// A stage that is down fills its stream up to the bound: an operator is told before, then new messages are refused, and
// what the stage has not seen stays.
func TestAStageThatIsDownFillsItsStreamToItsBoundAndLosesNothing(t *testing.T) {
	t.Parallel()
	server, log := bustest.Start(t), &logtest.Buffer{}
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Common: common(), LogTo: log, NoAdmin: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tel.Close(context.Background())) })
	p := &process{t: t, host: &pipeline.Host{Telemetry: tel, Conn: server.Connect()}}
	stage := p.open("test")
	js := p.host.Conn.JetStream()
	stream, err := js.Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	small := stream.CachedInfo().Config
	small.MaxBytes = 400 << 10
	_, err = js.UpdateStream(t.Context(), small)
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), small.Name, jetstream.ConsumerConfig{Durable: "down", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)

	sent := 0
	publish := func() error {
		e := event("7001", sent)
		e.Text = strings.Repeat("x", 4<<10)
		err := stage.Publish(t.Context(), stage.Event(e, "r"))
		if err == nil {
			sent++
		}
		return err
	}
	fill := func() float64 {
		info, err := stream.Info(t.Context())
		require.NoError(t, err)
		return float64(info.State.Bytes) / float64(small.MaxBytes)
	}
	for fill() < 0.82 {
		require.NoError(t, publish())
	}
	p.run(stage)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "stream.nearly_full") }, 20*time.Second, 20*time.Millisecond, "it is told at four fifths")
	require.Eventually(t, func() bool { // the others are asked one after another
		n, err := testutil.GatherAndCount(tel.Gatherer(), "bus_stream_fill_ratio")
		return err == nil && n == len(topology.Streams())
	}, 20*time.Second, 20*time.Millisecond)

	for err = publish(); err == nil; err = publish() {
		require.LessOrEqual(t, fill(), 1.0)
	}
	require.ErrorIs(t, err, bus.ErrUnavailable)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(sent), info.State.Msgs)
	require.Equal(t, uint64(1), info.State.FirstSeq, "nothing that a stage has not seen is discarded")
}
