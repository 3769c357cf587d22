package responder

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/services/responder/internal/live"
	"github.com/parley-dm/parley/services/responder/internal/respond"
	"github.com/parley-dm/parley/services/responder/internal/takeover"
)

// stage is what an event passes through: whether its conversation changes hands, then what is answered.
type stage struct {
	p         *pipeline.Pipeline
	takeovers *takeover.Watch
	answers   *respond.Responder
}

// stageDeps is what a stage works with.
type stageDeps struct {
	book   *accounts.Book
	rules  *live.Rules
	held   *holds.Holds
	alerts *alert.Alerts
}

func newStage(p *pipeline.Pipeline, cfg Config, d stageDeps) (*stage, error) {
	s := &stage{p: p}
	var err, err2 error
	s.takeovers, err = takeover.New(takeover.Deps{
		Streams: p, Holds: d.held, Accounts: d.book, Telemetry: p.Telemetry(),
		Tell: func(ctx context.Context, e dm.Event) error { return p.Publish(ctx, p.Event(e, e.Hold.Cause)) },
	}, takeover.Options{AppID: cfg.AppID, Quiet: cfg.TakeoverQuiet, OtherApp: cfg.OtherAppQuiet})
	s.answers, err2 = respond.New(respond.Deps{Accounts: d.book, Rules: d.rules, Holds: d.held, Alerts: d.alerts, Telemetry: p.Telemetry()}, respond.Options{
		Fallback: cfg.Fallback, MaxRepliesPerMinute: cfg.MaxRepliesPerMinute, LoopQuiet: cfg.LoopQuiet,
	})
	return s, errors.Join(err, err2)
}

// decide is the stage's handler.
func (s *stage) decide(ctx context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
	var changed *dm.Event
	var err error
	if e.Data.Source != dm.SourceParley {
		changed, err = s.takeovers.Heard(ctx, &e.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("hear event %s: %w", e.ID, err) // it says itself when to come back
	}
	answer, err := s.answers.Answer(ctx, e.Data)
	if err != nil {
		return nil, bus.WhileAway(fmt.Errorf("decide event %s: %w", e.ID, err))
	}
	var out []pipeline.Outgoing
	if answer.Intent != nil {
		out = append(out, s.p.Intent(*answer.Intent, e.CorrelationID, e.ID))
	}
	for _, event := range append(answer.Events(), changed) {
		if event != nil {
			out = append(out, s.p.Event(*event, e.ID))
		}
	}
	return out, nil
}
