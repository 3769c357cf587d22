package bus

import (
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
)

type handlerMetrics struct {
	duration      *prometheus.HistogramVec
	retries, dead *prometheus.CounterVec
}

func newHandlerMetrics(r prometheus.Registerer) *handlerMetrics {
	return &handlerMetrics{
		duration: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "handler_duration_seconds", Help: "How long handlers took for a message, or for a batch, attempts and waits included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"handler", "outcome"})),
		retries: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "handler_retries_total", Help: "Attempts that failed and were tried again, by class."}, []string{"handler", "class"})),
		dead:    register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "handler_dead_letters_total", Help: "Messages given up on, by class."}, []string{"handler", "class"})),
	}
}

// middleware observes how long each message took and how it ended.
func (metrics *handlerMetrics) middleware(h message.HandlerFunc) message.HandlerFunc {
	// A handler's name is the same for all of its messages: looked up once.
	var once sync.Once
	var done, returned prometheus.Observer
	return func(m *message.Message) ([]*message.Message, error) {
		begin := time.Now()
		once.Do(func() {
			name := handlerName(m.Context())
			done, returned = metrics.duration.WithLabelValues(name, "done"), metrics.duration.WithLabelValues(name, "returned")
		})
		produced, err := h(m)
		took := time.Since(begin).Seconds()
		if err != nil {
			returned.Observe(took)
		} else {
			done.Observe(took)
		}
		return produced, err
	}
}
