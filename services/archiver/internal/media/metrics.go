package media

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	attempts        *prometheus.CounterVec
	bytes, removed  prometheus.Counter
	took            prometheus.Histogram
	pending, oldest prometheus.Gauge
}

func (m *metrics) register(r prometheus.Registerer) error {
	m.attempts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_media_attempts_total", Help: "Attempts to keep a medium, by outcome: stored, again (it is tried again), failed, gone (its message was erased meanwhile), released (by a stop), unnoted (the database was away).",
	}, []string{"outcome"})
	m.bytes = prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_media_bytes_total", Help: "Bytes of media that were stored."})
	m.removed = prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_media_removed_total", Help: "Files that were removed because their messages are gone."})
	m.took = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "parley_media_attempt_seconds", Help: "Time that an attempt took.", Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 15, 60, 120},
	})
	m.pending = prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_media_pending", Help: "Media that wait to be fetched, of all archivers."})
	m.oldest = prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_media_oldest_seconds", Help: "For how long the oldest of them has been waiting; Meta's links live for days."})
	var errs []error
	for _, c := range []prometheus.Collector{m.attempts, m.bytes, m.removed, m.took, m.pending, m.oldest} {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}
