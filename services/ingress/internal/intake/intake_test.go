package intake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/ingress/internal/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus is one that takes what it is given, or waits until the caller gives up, or refuses.
type bus struct {
	away    bool
	err     error
	events  []dm.Event
	flights []int
}

func (b *bus) Event(e dm.Event, _ string) pipeline.Outgoing {
	b.events = append(b.events, e)
	return pipeline.Outgoing{}
}

func (b *bus) Publish(ctx context.Context, out ...pipeline.Outgoing) error {
	b.flights = append(b.flights, len(out))
	if b.away {
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.Join(b.err, ctx.Err())
}

func webhook() intake.Webhook {
	return intake.Webhook{Request: "r", Events: []dm.Event{{ID: "1", Kind: dm.KindMessage, KnownAccount: true}, {ID: "2", Kind: dm.KindUnknown}}}
}

func TestTakesAllInOneFlight(t *testing.T) {
	t.Parallel()
	b, metrics := &bus{}, prometheus.NewRegistry()
	i := intake.New(intake.Deps{Bus: b, Metrics: metrics})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, i.Take(gone, webhook()), "a client that has hung up does not undo what has begun")
	require.Equal(t, []int{2}, b.flights)
	require.NoError(t, i.Take(t.Context(), intake.Webhook{}))
	require.Len(t, b.flights, 1, "nothing in it, nothing to publish")
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP ingress_events_total Events that were made durable, by kind and by whether their account is answered for.
# TYPE ingress_events_total counter
ingress_events_total{kind="message",known_account="true"} 1
ingress_events_total{kind="unknown",known_account="false"} 1
`), "ingress_events_total"))
}

func TestBusAway(t *testing.T) {
	t.Parallel()
	start := time.Now()
	i := intake.New(intake.Deps{Bus: &bus{away: true}, Metrics: prometheus.NewRegistry(), AnswerWithin: time.Millisecond, LeastWait: 20 * time.Millisecond})
	err := i.Take(t.Context(), webhook())
	require.ErrorIs(t, err, intake.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded, "and says why")
	require.Less(t, time.Since(start), 5*time.Second)

	refused := errors.New("refused")
	i = intake.New(intake.Deps{Bus: &bus{err: refused}, Metrics: prometheus.NewRegistry()})
	err = i.Take(t.Context(), webhook())
	require.ErrorIs(t, err, intake.ErrUnavailable)
	require.ErrorIs(t, err, refused)
}
