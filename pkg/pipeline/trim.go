package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline/overview"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

// trimEvery is how often a process looks at how full the streams are. A stream at full load takes hours to fill.
const trimEvery = time.Minute

// alertAbove is the fill at which an operator is told: what is settled was removed, and it did not help.
const alertAbove = 0.8

// trim keeps room in the streams for as long as ctx lives, by removing the oldest messages that every stage has settled.
// A stage that is down keeps what it has not seen; then the fill goes on rising, and says so here and in the metric.
func (p *Pipeline) trim(ctx context.Context) {
	fill := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bus_stream_fill_ratio", Help: "Share of a stream's bound in bytes that is full."}, []string{"stream"})
	waiting := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bus_group_waiting", Help: "Messages that a stage's subscription has not been given yet, over all its replicas."}, []string{"stream", "group"})
	if err := errors.Join(p.tel.Metrics.Register(fill), p.tel.Metrics.Register(waiting)); err != nil {
		p.tel.Log.Error("trim.metrics", telemetry.KeyError, err)
		return
	}
	leases, err := p.Bucket(ctx, topology.Leases)
	for ctx.Err() == nil {
		if err != nil {
			leases, err = p.Bucket(ctx, topology.Leases)
		} else {
			p.trimAll(ctx, leases, fill)
			p.measureWaiting(ctx, waiting)
		}
		select {
		case <-ctx.Done():
		case <-time.After(trimEvery/2 + rand.N(trimEvery)): //nolint:gosec // spreads the processes out
		}
	}
}

// measureWaiting shows how far each stage is behind: what to scale by.
func (p *Pipeline) measureWaiting(ctx context.Context, waiting *prometheus.GaugeVec) {
	o, err := overview.Read(ctx, p.conn)
	if err != nil {
		if ctx.Err() == nil {
			p.tel.Log.Warn("overview.failed", telemetry.KeyError, err)
		}
		return
	}
	waiting.Reset()
	for _, g := range o.Groups {
		waiting.WithLabelValues(g.Stream, g.Name).Set(float64(g.Waiting))
	}
}

func (p *Pipeline) trimAll(ctx context.Context, leases *bus.Bucket, fill *prometheus.GaugeVec) {
	for _, s := range topology.Streams() {
		cfg := bus.TrimConfig{Stream: s.Name, Leases: leases}
		if !s.Settled {
			cfg.Above = 2 // look only
		}
		r, err := bus.Trim(ctx, p.conn, cfg)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			p.tel.Log.Warn("trim.failed", "stream", s.Name, telemetry.KeyError, err)
			continue
		}
		fill.WithLabelValues(s.Name).Set(r.Fill)
		if r.Removed > 0 {
			p.tel.Log.Info("trim.removed", "stream", s.Name, "messages", r.Removed, "fill", r.Fill)
		} else if r.Fill > alertAbove {
			p.tel.Log.Error("stream.nearly_full", "stream", s.Name, "fill", r.Fill, "first_wanted", r.Wanted,
				"what_to_do", "a stage that reads this stream is down or too slow: start it, or raise the stream's max_bytes; at its bound ingress refuses webhooks, and nothing is discarded")
		}
	}
}
