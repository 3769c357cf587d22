package limit

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/parley-dm/parley/pkg/meta/graph"
)

// The breaker opens after so many failures of a host in a row and lets one message try after so long.
const (
	breakAfter = 20
	breakFor   = 5 * time.Second
)

// ErrNotCalled is reported for a call that was allowed and not made.
var ErrNotCalled = errors.New("not called")

// Breakers is a circuit breaker for each host. It keeps a host that is down from being called for every message that
// waits, and a host that takes messages and never answers from making an unknown outcome of each.
type Breakers struct {
	log    *slog.Logger
	byHost sync.Map // of host to *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// NewBreakers makes closed breakers.
func NewBreakers(log *slog.Logger) *Breakers { return &Breakers{log: log} }

// Allow says whether a call may be made; done is told its error, nil, or [ErrNotCalled]. An error says to wait.
func (b *Breakers) Allow(host string) (done func(error), err error) {
	breaker, ok := b.byHost.Load(host)
	if !ok {
		breaker, _ = b.byHost.LoadOrStore(host, gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Name: host, MaxRequests: 1, Timeout: breakFor,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakAfter },
			IsSuccessful: func(err error) bool { return !failureOfHost(err) },
			IsExcluded:   func(err error) bool { return errors.Is(err, ErrNotCalled) },
			OnStateChange: func(host string, from, to gobreaker.State) {
				b.log.Warn("breaker.changed", "host", host, "from", from.String(), "to", to.String())
			},
		}))
	}
	return breaker.(*gobreaker.TwoStepCircuitBreaker[struct{}]).Allow() //nolint:errcheck,forcetypeassert // the map holds nothing else
}

// failureOfHost says whether an error is about the host rather than about one message, account or app.
func failureOfHost(err error) bool {
	var e *graph.Error
	return errors.As(err, &e) && (e.Err != nil || e.Status >= 500 && e.Class != graph.ClassSentAnyway)
}
