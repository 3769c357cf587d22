// Package responder is the stage that decides: an event comes in, at most one reply intent goes out. It answers by the
// business's rules in PostgreSQL, else by the fallback, and goes on with the rules that it last knew while PostgreSQL is away.
//
// It sends nothing: that is the sender's.
package responder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/responder/internal/live"
	"github.com/parley-dm/parley/services/responder/internal/respond"
	"github.com/parley-dm/parley/services/responder/internal/store"
)

// Name is the stage's name in logs, metrics and subscriptions.
const Name = "responder"

// poolSize is enough for one reading of the rules at a time; listening has a connection of its own.
const poolSize = 2

// Config is the responder's settings.
type Config struct {
	config.Common
	config.NATS
	config.Database
	accounts.Settings
	Fallback            string        `env:"FALLBACK_RESPONSE" envDefault:"Thank you for your message! We will get back to you as soon as we can." empty:"keep" help:"what is said when no rule matches; empty means stay silent"`
	MaxRepliesPerMinute int           `env:"MAX_REPLIES_PER_MINUTE" envDefault:"20" help:"automatic replies to one customer before the conversation is held and an alert raised; 0 for no bound"`
	MaxInFlight         int           `env:"MAX_IN_FLIGHT" envDefault:"256" help:"messages handled at once"`
	LeaseTTL            time.Duration `env:"LEASE_TTL" envDefault:"6s" help:"how long the partitions of a killed replica wait for another"`
	RulesPoll           time.Duration `env:"RULES_POLL" envDefault:"15s" help:"how often the rules are read in case a change was not heard of at once"`

	// Host is lent by a process that runs several services.
	Host *pipeline.Host `env:"-"`
}

// Validate reports every problem of the settings.
func (c Config) Validate() error {
	errs := []error{c.Common.Validate(), c.NATS.Validate(), c.Database.Validate(), c.Settings.Validate()}
	if c.MaxRepliesPerMinute < 0 {
		errs = append(errs, fmt.Errorf("MAX_REPLIES_PER_MINUTE: got %d, expected 0 or more", c.MaxRepliesPerMinute))
	}
	if c.LeaseTTL < time.Second || c.LeaseTTL > time.Minute {
		errs = append(errs, fmt.Errorf("LEASE_TTL: got %s, expected 1s to 1m", c.LeaseTTL))
	}
	if c.MaxInFlight < 1 {
		errs = append(errs, fmt.Errorf("MAX_IN_FLIGHT: got %d, expected 1 or more", c.MaxInFlight))
	}
	if c.RulesPoll < time.Second {
		errs = append(errs, fmt.Errorf("RULES_POLL: got %s, expected 1s or more", c.RulesPoll))
	}
	return errors.Join(errs...)
}

// Run answers events until the context ends.
func Run(ctx context.Context, cfg Config) (err error) {
	p, err := pipeline.Open(ctx, pipeline.Options{Service: Name, Common: cfg.Common, NATS: cfg.NATS, Host: cfg.Host})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tel := p.Telemetry()

	book, err := accounts.Open(accounts.Options{Settings: cfg.Settings, Log: tel.Log})
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, cfg.Database, postgres.Options{Name: Name, MaxConns: poolSize})
	if err != nil {
		return err
	}
	defer pool.Close()
	repository := store.New(pool)
	rules, err := live.New(live.Deps{Repository: repository, Listener: repository, Log: tel.Log, Metrics: tel.Metrics}, cfg.RulesPoll)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	answers, err := respond.New(respond.Deps{Accounts: book, Rules: rules, Telemetry: tel}, respond.Options{
		Fallback: cfg.Fallback, MaxRepliesPerMinute: cfg.MaxRepliesPerMinute,
	})
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	tel.Health.Add("rules", rules.Check)
	tel.Health.Add("accounts", func(context.Context) error { return book.Problem() })
	if err := p.HandleEvents("decide", pipeline.Consume{MaxInFlight: cfg.MaxInFlight, LeaseTTL: cfg.LeaseTTL}, decide(p, answers)); err != nil { //nolint:contextcheck // each message brings its own context
		return err
	}

	group := run.NewGroup(ctx)
	group.Go("rules", rules.Run)
	group.Go("accounts", book.Run)
	group.Go("decide", func(ctx context.Context) error {
		select {
		case <-rules.Loaded(): // an empty set would answer everything with the fallback
			return p.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	return group.Wait()
}

// decide is the stage's handler.
func decide(p *pipeline.Pipeline, answers *respond.Responder) pipeline.Handler[dm.Event] {
	return func(ctx context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		intent, ok, err := answers.Answer(ctx, e.Data)
		switch {
		case err != nil:
			return nil, bus.WhileAway(fmt.Errorf("decide event %s: %w", e.ID, err))
		case !ok:
			return nil, nil
		default:
			return []pipeline.Outgoing{p.Intent(intent, e.CorrelationID, e.ID)}, nil
		}
	}
}
