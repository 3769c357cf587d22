package pipeline_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/topology"
)

func TestReadinessNamesTheBusWhileAStageIsStillLookingForIt(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := pipeline.Options{Service: "responder", Common: common(), NATS: config.NATS{URL: "nats://127.0.0.1:1", Replicas: 1}}
	o.Common.AdminAddr = l.Addr().String()
	require.NoError(t, l.Close())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := pipeline.Open(ctx, o)
		opened <- err
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var body string
	require.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.Common.AdminAddr+"/readyz", nil)
		require.NoError(t, err)
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		body = string(b)
		// The endpoint is served a moment before the checks are there.
		return res.StatusCode == http.StatusServiceUnavailable && strings.Contains(body, `{"name":"nats","ok":false,"error":"NATS: not reached yet; see NATS_URL"}`)
	}, 5*time.Second, 10*time.Millisecond, "it says %s", body)
	cancel()
	require.ErrorIs(t, <-opened, context.Canceled)
}

// A stage that cannot subscribe says so and ends, so that its supervisor starts it again: it does not stay there doing nothing.
func TestAStageThatCannotSubscribeEnds(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	stage := newProcess(t, server).open("archiver")
	require.NoError(t, stage.HandleDeliveries("deliveries", pipeline.Consume{Shared: true}, func(context.Context, envelope.Envelope[dm.Delivery]) ([]pipeline.Outgoing, error) {
		return nil, nil
	}))
	require.NoError(t, server.Connect().JetStream().DeleteStream(t.Context(), topology.Deliveries.Name))
	ended := make(chan error, 1)
	go func() { ended <- stage.Run(t.Context()) }()
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "subscribe")
	case <-time.After(time.Minute): // JetStream may refuse for half of that, as a cluster does that starts
		t.Fatal("it still runs")
	}
}
