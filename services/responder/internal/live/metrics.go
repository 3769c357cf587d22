package live

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	rules     *prometheus.GaugeVec
	loads     *prometheus.CounterVec
	loadedAt  prometheus.Gauge
	listening prometheus.Gauge
}

func (m *metrics) register(r prometheus.Registerer) error {
	m.rules = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "parley_rules", Help: "Rules by state: active, or broken and left out.",
	}, []string{"state"})
	m.loads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_rules_loads_total", Help: "Times that the rules were read from PostgreSQL, by outcome: loaded or failed.",
	}, []string{"outcome"})
	m.loadedAt = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "parley_rules_loaded_timestamp_seconds", Help: "When the rules were last read; they are as old as that.",
	})
	m.listening = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "parley_rules_listening", Help: "1 while changes of the rules are heard at once, 0 while they are only polled.",
	})
	return errors.Join(r.Register(m.rules), r.Register(m.loads), r.Register(m.loadedAt), r.Register(m.listening))
}
