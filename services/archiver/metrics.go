package archiver

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/telemetry"
)

// metrics is what the archiver counts.
type metrics struct {
	rows, retries, halvings prometheus.Counter
	batch, commit           prometheus.Histogram
	away                    prometheus.Gauge
	log                     *slog.Logger

	mu   sync.Mutex
	said time.Time // when it was last logged that the database is away
}

// sayAgain is how often it is logged that the database is still away.
const sayAgain = time.Minute

// watch shows how many handlers wait for their commit.
func (m *metrics) watch(r prometheus.Registerer, waiting func() int) error {
	return r.Register(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "parley_archive_waiting", Help: "Messages that wait for their commit."},
		func() float64 { return float64(waiting()) },
	))
}

func newMetrics(r prometheus.Registerer, log *slog.Logger) (*metrics, error) {
	m := &metrics{
		log:      log,
		away:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_archive_away", Help: "1 while nothing can be written because the database is away; messages wait."}),
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
	for _, c := range []prometheus.Collector{m.rows, m.retries, m.halvings, m.batch, m.commit, m.away} {
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

// Away says that a batch could not be written, at first and then now and then.
func (m *metrics) Away(err error) {
	m.away.Set(1)
	m.mu.Lock()
	again := time.Since(m.said) >= sayAgain
	if again {
		m.said = time.Now()
	}
	m.mu.Unlock()
	if again {
		m.log.Warn("archive.away", telemetry.KeyError, err)
	}
}

// Back says that one could be written again.
func (m *metrics) Back(after time.Duration) {
	m.away.Set(0)
	m.mu.Lock()
	m.said = time.Time{}
	m.mu.Unlock()
	m.log.Info("archive.back", "after_ms", after.Milliseconds())
}

// CaughtUp says that what had gathered is written, or is written at full speed from now on.
func (m *metrics) CaughtUp(after time.Duration) {
	m.log.Info("archive.caught_up", "after_ms", after.Milliseconds())
}
