package park

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics carry no ids: an installation may have a hundred thousand accounts.
type metrics struct{ parked, unparked, refused prometheus.Counter }

func newMetrics(r prometheus.Registerer, l *Lot) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	m := &metrics{
		parked:   counter("parley_intents_parked_total", "Reply intents that were parked because their account was paused, or had too many waiting."),
		unparked: counter("parley_intents_unparked_total", "Parked reply intents that have left: sent, failed or expired."),
		refused:  counter("parley_park_refusals_total", "Times that there was no room to park."),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.parked, m.unparked, m.refused,
		gauge("parley_parked_intents", "Reply intents that are parked now, of the partitions that this process owns.", func() float64 { n, _, _ := l.state(); return float64(n) }),
		gauge("parley_parked_accounts", "Accounts that have something parked now, of the partitions that this process owns.", func() float64 { _, n, _ := l.state(); return float64(n) }),
		gauge("parley_parked_oldest_seconds", "How long the oldest parked reply intent has been parked.", func() float64 { _, _, age := l.state(); return age.Seconds() }),
	} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// state is what the gauges say.
func (l *Lot) state() (intents uint64, accounts int, oldest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, q := range l.queues {
		intents += q.depth
		oldest = max(oldest, now.Sub(q.oldest))
	}
	return intents, len(l.queues), oldest
}
