package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// The outcomes of asking an engine, as in a trace and in the metric.
const (
	outcomeDecided = "decided"
	outcomePassed  = "passed"
	outcomeFailed  = "failed"
	outcomeTimeout = "timeout"
)

// Link is one engine of a chain.
type Link struct {
	Engine Engine
	// Timeout bounds it, whether it obeys its context or not; 0 for one that only computes, which is called as it is.
	Timeout time.Duration
}

// Chain asks engines in order until one decides.
type Chain struct {
	links   []Link
	aside   func(ctx context.Context, wait func() error) error
	log     *slog.Logger
	answers *prometheus.CounterVec
	took    *prometheus.HistogramVec
}

// NewChain makes a chain. The waits for engines that do more than compute are run by aside, if it is not nil.
func NewChain(log *slog.Logger, metrics prometheus.Registerer, aside func(ctx context.Context, wait func() error) error, links ...Link) (*Chain, error) {
	if aside == nil {
		aside = func(_ context.Context, wait func() error) error { return wait() }
	}
	c := &Chain{
		links: links, aside: aside, log: log,
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_engine_answers_total", Help: "What came of asking an engine for an answer: decided, passed, failed, timeout.",
		}, []string{"engine", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_engine_duration_seconds", Help: "How long engines that do more than compute took to answer.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}, []string{"engine"}),
	}
	return c, errors.Join(metrics.Register(c.answers), metrics.Register(c.took))
}

// Only is a chain of other links, with the same metrics.
func (c *Chain) Only(links ...Link) *Chain {
	out := *c
	out.links = links
	return &out
}

// Decide asks the engines in order. The trace is told of each.
func (c *Chain) Decide(ctx context.Context, t *Turn, trace *dm.Trace) (Decision, bool) {
	for _, l := range c.links {
		began := time.Now()
		v, err := c.ask(ctx, l, t)
		outcome := outcomeOf(v, err)
		name := l.Engine.Name()
		c.answers.WithLabelValues(name, outcome).Inc()
		step := dm.TraceEngine{Name: name, Outcome: outcome, Detail: v.Detail}
		if l.Timeout > 0 {
			took := time.Since(began)
			step.Micros = took.Microseconds()
			c.took.WithLabelValues(name).Observe(took.Seconds())
		}
		if err != nil {
			step.Detail = err.Error()
			c.log.WarnContext(ctx, "engine.passed_over", "engine", name, telemetry.KeyEvent, t.Event.ID, telemetry.KeyAccount, t.Event.Account,
				telemetry.KeyOutcome, outcome, telemetry.KeyError, err)
		}
		trace.Ask(step)
		if v.Explain != nil {
			v.Explain(trace)
		}
		if outcome == outcomeDecided {
			return *v.Decision, true
		}
	}
	return Decision{}, false
}

func outcomeOf(v Verdict, err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return outcomeTimeout
	case err != nil:
		return outcomeFailed
	case v.Decision == nil:
		return outcomePassed
	default:
		return outcomeDecided
	}
}

// ask asks one engine.
func (c *Chain) ask(ctx context.Context, l Link, t *Turn) (v Verdict, err error) {
	if l.Timeout <= 0 {
		return l.call(ctx, t)
	}
	err = c.aside(ctx, func() error {
		v, err = l.wait(ctx, t)
		return err
	})
	return v, err
}

// wait calls an engine and waits for as long as it may take.
func (l Link) wait(ctx context.Context, t *Turn) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	type answer struct {
		v   Verdict
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		v, err := l.call(ctx, t)
		if err == nil && v.Decision != nil {
			err = Check(v.Decision, t.Event)
		}
		answered <- answer{v, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return Verdict{Explain: a.v.Explain}, a.err
		}
		return a.v, nil
	case <-ctx.Done():
		return Verdict{}, fmt.Errorf("no answer within %s: %w", l.Timeout, ctx.Err())
	}
}

// call makes an error of a panic: one engine's fault must not keep the next one from answering.
func (l Link) call(ctx context.Context, t *Turn) (v Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = Verdict{}, &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return l.Engine.Decide(ctx, t)
}

// PanicError is an engine's panic.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return "panic" } // the value may hold what the customer wrote
