package bus

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type subscriberMetrics struct {
	received, settled, lost, regenerated prometheus.Counter
	owned                                prometheus.Gauge
}

func newSubscriberMetrics(r prometheus.Registerer, group string) *subscriberMetrics {
	labels := prometheus.Labels{"group": group}
	counter := func(name, help string) prometheus.Counter {
		return register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}))
	}
	return &subscriberMetrics{
		received:    counter("bus_messages_received_total", "Messages that the server delivered and that were new."),
		settled:     counter("bus_messages_settled_total", "Messages that were handled and acknowledged."),
		lost:        counter("bus_partitions_lost_total", "Partitions that another member took, or whose lease could not be renewed."),
		regenerated: counter("bus_consumers_regenerated_total", "Consumers replaced because something was lost between the server and us."),
		owned:       register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "bus_partitions_owned", Help: "Partitions that this member owns.", ConstLabels: labels})),
	}
}

// register adds a collector, or gives the one that is there already: several subscribers of a process share them.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if err := r.Register(c); err != nil {
		var there prometheus.AlreadyRegisteredError
		if errors.As(err, &there) {
			if same, ok := there.ExistingCollector.(C); ok {
				return same
			}
		}
	}
	return c
}
