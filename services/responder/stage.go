package responder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/rules/language"
	"github.com/parley-dm/parley/services/responder/internal/engine"
	"github.com/parley-dm/parley/services/responder/internal/handoff"
	"github.com/parley-dm/parley/services/responder/internal/live"
	"github.com/parley-dm/parley/services/responder/internal/respond"
	"github.com/parley-dm/parley/services/responder/internal/store"
	"github.com/parley-dm/parley/services/responder/internal/takeover"
)

// stage is what an event passes through: whether its conversation changes hands, then what is answered.
type stage struct {
	p         *pipeline.Pipeline
	takeovers *takeover.Watch
	answers   *respond.Responder
	engine    *engine.HTTP
	desk      *handoff.Desk
}

// stageDeps is what a stage works with.
type stageDeps struct {
	book   *accounts.Book
	rules  *live.Rules
	alerts *alert.Alerts
	store  *store.Rules
	memories
}

func newStage(p *pipeline.Pipeline, cfg Config, d stageDeps) (*stage, error) {
	s := &stage{p: p}
	var err, err2 error
	s.takeovers, err = takeover.New(takeover.Deps{
		Streams: p, Holds: d.held, Accounts: d.book, Telemetry: p.Telemetry(),
		Ours: func(ctx context.Context, e dm.Event, cause string) error {
			return p.Publish(ctx, p.Event(e, cause).For(Name, cause+".ours"))
		},
	}, takeover.Options{AppID: cfg.AppID, Quiet: cfg.TakeoverQuiet, OtherApp: cfg.OtherAppQuiet})
	deps := respond.Deps{
		Accounts: d.book, Rules: d.rules, Holds: d.held, State: d.state, Bursts: lanes{p}, Archive: d.store, Heard: p, Aside: bus.Aside, Language: language.Detect,
		Alerts: d.alerts, Customers: d.names, Telemetry: p.Telemetry(),
	}
	before := history{archive: d.store, bus: p, now: time.Now}.before
	if cfg.EngineURL != "" {
		s.engine = engine.NewHTTP(engine.HTTPOptions{URL: cfg.EngineURL, Secret: cfg.EngineSecret, Timeout: cfg.EngineTimeout, Log: p.Telemetry().Log})
		deps.Engine = &engine.Link{Engine: s.engine, Timeout: cfg.EngineTimeout}
		deps.History = before
	}
	s.answers, err2 = respond.New(deps, cfg.options())
	if err := errors.Join(err, err2); err != nil || cfg.HandOff.URL == "" {
		return s, err
	}
	s.desk, err = handoff.New(handoff.Deps{Heard: p, History: before, Alerts: d.alerts, Telemetry: p.Telemetry()}, handoff.Options{
		URL: cfg.HandOff.URL, Secret: cfg.HandOff.Secret, Reach: cfg.HandOff.reach(), Timeout: cfg.HandOff.Timeout,
	})
	return s, err
}

// close ends what newStage opened.
func (s *stage) close() {
	if s.engine != nil {
		s.engine.Close()
	}
	if s.desk != nil {
		s.desk.Close()
	}
}

// handle registers the handlers.
func (s *stage) handle(events pipeline.Consume) error {
	if err := s.p.HandleEvents("decide", events, s.decide); err != nil || s.desk == nil {
		return err
	}
	return s.p.HandleHolds("handoffs", pipeline.Consume{Shared: true, FromNow: true, MaxInFlight: handoff.AtOnce}, s.tell)
}

// tell tells the help desk, beside the answers.
func (s *stage) tell(ctx context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
	return nil, s.desk.Tell(ctx, &e.Data)
}

// lanes is how messages are found and waited for that follow one another.
type lanes struct{ *pipeline.Pipeline }

// Pause waits in the conversation's lane.
func (lanes) Pause(ctx context.Context, d time.Duration) bool { return bus.Pause(ctx, d) }

// decide is the stage's handler.
func (s *stage) decide(ctx context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
	var changed *dm.Event
	var err error
	switch {
	case e.Data.Source != dm.SourceParley:
		changed, err = s.takeovers.Heard(ctx, &e.Data)
	case e.Data.Kind == dm.KindEcho:
		return nil, s.giveBack(ctx, e)
	}
	if err != nil {
		return nil, fmt.Errorf("hear event %s: %w", e.ID, err) // it says itself when to come back
	}
	out, err := s.answer(ctx, e.Data)
	if changed != nil {
		out = append(out, s.p.Event(*changed, e.ID))
	}
	return out, err
}

// answer is what is published about an event.
func (s *stage) answer(ctx context.Context, e dm.Event) ([]pipeline.Outgoing, error) {
	answer, err := s.answers.Answer(ctx, e)
	if err != nil {
		return nil, bus.WhileAway(fmt.Errorf("decide event %s: %w", e.ID, err))
	}
	var out []pipeline.Outgoing
	if answer.Intent != nil {
		out = append(out, s.p.Intent(*answer.Intent, e.ID, e.ID))
	}
	for _, event := range answer.Events() {
		if event != nil {
			out = append(out, s.p.Event(*event, e.ID))
		}
	}
	return out, nil
}

// giveBack ends a takeover that was a mistake, and answers what was not answered because of it: each when what came of the one before
// it is stored, for a stream may refuse one for a moment and take the next.
func (s *stage) giveBack(ctx context.Context, e envelope.Envelope[dm.Event]) error {
	change, missed, err := s.takeovers.GiveBack(ctx, &e.Data, e.CausationID, bus.Sequence(ctx))
	if err != nil {
		return fmt.Errorf("give back %s: %w", e.Conversation, err)
	}
	if change == nil {
		return nil
	}
	if err := s.p.Publish(ctx, s.p.Event(*change, e.ID)); err != nil {
		return err
	}
	for i := range missed {
		out, err := s.answer(ctx, missed[i])
		if err != nil {
			return err
		}
		if err := s.p.Publish(ctx, out...); err != nil {
			return err
		}
	}
	return nil
}
