package archiver

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the archiver counts.
type metrics struct {
	rows, retries, halvings prometheus.Counter
	batch, commit           prometheus.Histogram
}

// watch shows how many handlers wait for their commit.
func (m *metrics) watch(r prometheus.Registerer, waiting func() int) error {
	return r.Register(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "parley_archive_waiting", Help: "Messages that wait for their commit."},
		func() float64 { return float64(waiting()) },
	))
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		rows:     prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_archive_rows_total", Help: "Rows that were committed, repeats included."}),
		retries:  prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_archive_retries_total", Help: "Transactions that were tried again because another writer was in the way."}),
		halvings: prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_archive_halvings_total", Help: "Batches that were halved to find a message that PostgreSQL refuses."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_archive_batch_rows", Help: "Rows in a transaction.", Buckets: []float64{1, 5, 10, 25, 50, 100, 250, 500, 1000},
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_archive_commit_seconds", Help: "Time from the first statement of a transaction to its commit.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.rows, m.retries, m.halvings, m.batch, m.commit} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// Committed counts a transaction.
func (m *metrics) Committed(rows int, took time.Duration) {
	m.rows.Add(float64(rows))
	m.batch.Observe(float64(rows))
	m.commit.Observe(took.Seconds())
}

// Retried counts a transaction that is tried again.
func (m *metrics) Retried() { m.retries.Inc() }

// Halved counts a batch that is split.
func (m *metrics) Halved() { m.halvings.Inc() }
