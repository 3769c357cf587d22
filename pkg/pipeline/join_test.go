package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
)

// options are those of a stage in a process of its own.
func options(url string) pipeline.Options {
	return pipeline.Options{Service: "responder", Common: common(), NATS: config.NATS{URL: config.Secret(url), Replicas: 1}}
}

// A stage that is started before the bus works when the bus comes.
func TestAStageWaitsForTheBus(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	server.Down()
	handled := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			p, err := pipeline.Open(ctx, options(server.URL()))
			if err != nil {
				return err
			}
			defer func() { _ = p.Close() }()
			err = p.HandleEvents("test", pipeline.Consume{}, func(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) { //nolint:contextcheck // each message brings its own context
				handled <- e.Data.Text
				return nil, nil
			})
			if err != nil {
				return err
			}
			return p.Run(ctx)
		}()
	}()
	early := options(server.URL())
	early.Early = true
	p, err := pipeline.Open(t.Context(), early)
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	require.False(t, p.Joined())
	require.Error(t, p.HandleEvents("test", pipeline.Consume{}, nil))
	results, ready := p.Telemetry().Health.Run(t.Context())
	require.False(t, ready, "until it says that it has started")
	p.Started()
	_, ready = p.Telemetry().Health.Run(t.Context())
	require.True(t, ready, "the bus is a note")
	require.Equal(t, "nats", results[0].Name)
	require.Contains(t, results[0].Error, "not reached yet")

	server.Up()
	require.NoError(t, p.Join(t.Context()))
	require.True(t, p.Joined())
	require.NoError(t, p.Publish(t.Context(), p.Event(event("7001", 5), "r")))
	require.Equal(t, "5", <-handled)
	cancel()
	require.NoError(t, <-done)
}

// A stop ends the wait at once, wherever it waits.
func TestAStopEndsTheWait(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	p, err := pipeline.Open(t.Context(), options(server.URL()))
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	require.NoError(t, p.HandleEvents("test", pipeline.Consume{}, func(context.Context, envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) { return nil, nil }))
	server.Down()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- p.Run(ctx) }()
	go func() {
		_, err := pipeline.Open(ctx, options(server.URL()))
		done <- err
	}()
	require.Eventually(t, func() bool {
		results, _ := p.Telemetry().Health.Run(t.Context())
		return !results[0].OK
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	start := time.Now()
	for range 2 {
		if err := <-done; err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	require.Less(t, time.Since(start), 7*time.Second)
}

func TestARefusedPasswordIsToldAtOnce(t *testing.T) {
	t.Parallel()
	server := bustest.StartWithToken(t, "right")
	start := time.Now()
	_, err := pipeline.Open(t.Context(), options("nats://wrong@"+server.URL()[len("nats://"):]))
	require.ErrorContains(t, err, "Authorization Violation")
	require.Less(t, time.Since(start), 5*time.Second)
}

// Parts of one stage that join at the same time join once: it is listed once, and gone when it is closed.
func TestManyJoinOnce(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	conn := server.Connect()
	server.Down()
	early := options(server.URL())
	early.Early = true
	p, err := pipeline.Open(t.Context(), early)
	require.NoError(t, err)
	const parts = 4
	joined := make(chan error, parts)
	for range parts {
		go func() { joined <- p.Join(t.Context()) }()
	}
	server.Up()
	for range parts {
		require.NoError(t, <-joined)
	}
	var reports []roster.Report
	require.Eventually(t, func() bool {
		reports, err = roster.List(t.Context(), conn)
		return err == nil && len(reports) > 0
	}, 20*time.Second, 10*time.Millisecond)
	require.Len(t, reports, 1)
	require.NoError(t, p.Close())
	reports, err = roster.List(t.Context(), conn)
	require.NoError(t, err)
	require.Empty(t, reports)
}
