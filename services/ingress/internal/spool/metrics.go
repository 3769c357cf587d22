package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func (s *Spool) register(r prometheus.Registerer) error {
	s.damaged = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ingress_spool_damaged_total", Help: "Places in the spool that held accepted webhooks and cannot be read any more.",
	})
	gauge := func(name, help string, value func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(s.Stats()) })
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		s.damaged,
		gauge("ingress_spool_webhooks", "Accepted webhooks that wait on the disk for the bus.", func(st Stats) float64 { return float64(st.Webhooks) }),
		gauge("ingress_spool_bytes", "What the spool takes on the disk.", func(st Stats) float64 { return float64(st.Bytes) }),
		gauge("ingress_spool_max_bytes", "What the spool may take on the disk; beyond it webhooks are refused.", func(st Stats) float64 { return float64(st.MaxBytes) }),
		gauge("ingress_spool_oldest_seconds", "How long the oldest webhook in the spool has waited; 0 when there is none.", func(st Stats) float64 {
			if st.Oldest.IsZero() {
				return 0
			}
			return time.Since(st.Oldest).Seconds()
		}),
	} {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("register the spool's metrics: %w", err)
	}
	return nil
}
