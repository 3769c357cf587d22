package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
)

// A sender that starts while the bus is away waits for it: one request's time is no reason to end.
func TestParkingWaitsForTheBus(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	stage := newProcess(t, server).open("test")
	server.Down()
	opened := make(chan error, 1)
	go func() {
		_, err := stage.Parking(t.Context(), "send", func(context.Context, envelope.Envelope[dm.ReplyIntent]) ([]pipeline.Outgoing, error) { return nil, nil })
		opened <- err
	}()
	select {
	case err := <-opened:
		require.NoError(t, err)
		require.Fail(t, "it was opened with no bus")
	case <-time.After(7 * time.Second): // longer than one request may take
	}
	server.Up()
	require.NoError(t, <-opened)
}
