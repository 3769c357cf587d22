package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/overview"
	"github.com/parley-dm/parley/pkg/topology"
)

func TestAnOverviewOfWhatWaitsForWhom(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	stage := p.open("answerer")
	held, begun := make(chan struct{}), make(chan struct{}, 8)
	release := sync.OnceFunc(func() { close(held) })
	require.NoError(t, stage.HandleEvents("decide", pipeline.Consume{}, func(context.Context, envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		begun <- struct{}{}
		<-held
		return nil, nil
	}))
	keeper := p.open("keeper")
	require.NoError(t, keeper.HandleEvents("events", pipeline.Consume{Shared: true}, func(context.Context, envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		return nil, nil
	}))
	for n := range 3 {
		require.NoError(t, stage.Publish(t.Context(), stage.Event(event("7001", n), "r")))
	}
	p.run(stage)
	p.run(keeper)
	t.Cleanup(release) // before the stages are stopped, which wait for it
	<-begun

	var o overview.Overview
	read := func() {
		var err error
		o, err = overview.Read(t.Context(), p.host.Conn)
		require.NoError(t, err)
	}
	settled := func() bool {
		read()
		return len(o.Groups) == 2 && o.Groups[1].Waiting+o.Groups[1].InFlight == 0
	}
	require.Eventually(t, settled, 10*time.Second, 10*time.Millisecond)
	require.Len(t, o.Streams, len(topology.Streams()))
	events := o.Streams[0]
	require.Equal(t, topology.Events.Name, events.Name)
	require.EqualValues(t, 3, events.Messages)
	require.Equal(t, topology.Events.MaxBytes, events.Bound)
	require.InDelta(t, float64(events.Bytes)/float64(events.Bound), events.Fill, 1e-9)
	require.False(t, events.Last.IsZero())

	decide, keep := o.Groups[0], o.Groups[1]
	require.Equal(t, "answerer-decide", decide.Name)
	require.Equal(t, "answerer", decide.Stage())
	require.EqualValues(t, 3, decide.Waiting+decide.InFlight, "one conversation is handled one message at a time")
	require.Len(t, decide.Partitions, topology.DefaultPartitions)
	for n, partition := range decide.Partitions {
		require.Equal(t, n, partition.Number)
		require.NotEmpty(t, partition.Member)
		require.True(t, partition.Read)
	}
	require.Equal(t, "keeper-events", keep.Name)
	require.Empty(t, keep.Partitions)
	// Each process measures it too.
	require.Eventually(t, func() bool {
		n, err := testutil.GatherAndCount(p.host.Telemetry.Gatherer(), "bus_group_waiting")
		return err == nil && n > 0
	}, 10*time.Second, 10*time.Millisecond)
	release()
	require.Eventually(t, func() bool { read(); return o.Groups[0].Waiting+o.Groups[0].InFlight == 0 }, 10*time.Second, 10*time.Millisecond)
}

func TestAnOverviewOfANewServer(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	p := newProcess(t, server)
	p.open("first") // makes the streams and buckets
	conn := server.Connect()
	require.NoError(t, conn.JetStream().DeleteStream(t.Context(), topology.Dead.Name))
	o, err := overview.Read(t.Context(), conn)
	require.NoError(t, err)
	require.Empty(t, o.Groups)
	last := o.Streams[len(o.Streams)-1]
	require.Equal(t, topology.Dead.Name, last.Name)
	require.True(t, last.Missing)
}
