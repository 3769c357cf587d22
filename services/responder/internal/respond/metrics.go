package respond

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	decisions *prometheus.CounterVec
	duration  prometheus.Histogram
	held      prometheus.Counter
}

func (m *metrics) register(r prometheus.Registerer) error {
	m.decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_decisions_total", Help: "Events decided, by outcome (rule, fallback, silence) and reason.",
	}, []string{"outcome", "reason"})
	m.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "parley_decision_duration_seconds", Help: "How long a decision takes, without the bus.",
		Buckets: []float64{2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1},
	})
	m.held = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "parley_conversations_held_total", Help: "Times that a conversation was held because one customer got too many replies within a minute.",
	})
	return errors.Join(r.Register(m.decisions), r.Register(m.duration), r.Register(m.held))
}
