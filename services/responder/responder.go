// Package responder is the stage that decides: an event comes in, at most one reply intent goes out. It answers by the
// business's rules in PostgreSQL, else by the fallback, and goes on with the rules that it last knew while PostgreSQL is away.
//
// It sends nothing: that is the sender's.
package responder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/responder/internal/customers"
	"github.com/parley-dm/parley/services/responder/internal/live"
	"github.com/parley-dm/parley/services/responder/internal/state"
	"github.com/parley-dm/parley/services/responder/internal/store"
)

// Name is the stage's name in logs, metrics and subscriptions.
const Name = "responder"

// poolSize is enough for one reading of the rules at a time; listening has a connection of its own.
const poolSize = 2

// maxQuiet bounds how long the bot may be silent by itself.
const maxQuiet = 30 * 24 * time.Hour

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
	TakeoverQuiet       time.Duration `env:"TAKEOVER_QUIET" envDefault:"12h" help:"how long the bot is silent in a conversation after a person of the business has written there"`
	OtherAppQuiet       time.Duration `env:"OTHER_APP_QUIET" envDefault:"24h" help:"how long the bot is silent at most while another app has the thread and does not pass it back"`
	LoopQuiet           time.Duration `env:"LOOP_QUIET" envDefault:"5m" help:"how long a customer who got MAX_REPLIES_PER_MINUTE must be quiet before the bot answers again"`
	BackfillWithin      time.Duration `env:"BACKFILL_ANSWER_WITHIN" envDefault:"1h" help:"how old a customer's message may be that is still answered when it is found without its webhook; older ones are kept only"`
	AppID               string        `env:"FACEBOOK_APP_ID" help:"the app's id, for token look-ups; it also tells messages of ours from others', and whose a thread is"`
	Deciding
	HandOff   HandOff
	Alerts    alert.Settings
	RulesPoll time.Duration `env:"RULES_POLL" envDefault:"15s" help:"how often the rules are read in case a change was not heard of at once"`

	// Host is lent by a process that runs several services.
	Host *pipeline.Host `env:"-"`
}

// Validate reports every problem of the settings.
func (c Config) Validate() error {
	errs := []error{c.Common.Validate(), c.NATS.Validate(), c.Database.Validate(), c.Settings.Validate(), c.Alerts.Validate(), c.Deciding.Validate(), c.HandOff.Validate()}
	if c.MaxRepliesPerMinute < 0 {
		errs = append(errs, fmt.Errorf("MAX_REPLIES_PER_MINUTE: got %d, expected 0 or more", c.MaxRepliesPerMinute))
	}
	for _, v := range []struct {
		name string
		got  time.Duration
	}{{"TAKEOVER_QUIET", c.TakeoverQuiet}, {"OTHER_APP_QUIET", c.OtherAppQuiet}, {"LOOP_QUIET", c.LoopQuiet}, {"BACKFILL_ANSWER_WITHIN", c.BackfillWithin}} {
		if v.got < time.Second || v.got > maxQuiet {
			errs = append(errs, fmt.Errorf("%s: got %s, expected 1s to %s", v.name, v.got, maxQuiet))
		}
	}
	if c.LeaseTTL < time.Second || c.LeaseTTL > time.Minute {
		errs = append(errs, fmt.Errorf("LEASE_TTL: got %s, expected 1s to 1m", c.LeaseTTL))
	}
	if c.MaxInFlight < 1 {
		errs = append(errs, fmt.Errorf("MAX_IN_FLIGHT: got %d, expected 1 or more", c.MaxInFlight))
	}
	if strings.Trim(c.AppID, "0123456789") != "" {
		errs = append(errs, fmt.Errorf("FACEBOOK_APP_ID: got %q, expected digits", c.AppID))
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
	kept, err := openMemories(ctx, cfg, p)
	if err != nil {
		return err
	}
	alerts, err := alert.New(cfg.Alerts, alert.Options{Service: Name, Log: tel.Log, Metrics: tel.Metrics})
	if err != nil {
		return err
	}
	stage, err := newStage(p, cfg, stageDeps{book: book, rules: rules, alerts: alerts, store: repository, memories: *kept})
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	tel.Health.Add("holds", kept.held.Check)
	tel.Health.Add("rules", rules.Check)
	tel.Health.Add("accounts", func(context.Context) error { return book.Problem() })
	defer stage.close()
	if err := stage.handle(cfg.consume(p, kept.state)); err != nil { //nolint:contextcheck // each message brings its own context
		return err
	}

	group := run.NewGroup(ctx)
	group.Go("rules", rules.Run)
	group.Go("accounts", book.Run)
	group.Go("holds", kept.held.Run)
	group.Go("alerts", alerts.Run)
	group.Go("takeovers", stage.takeovers.Run)
	group.Go("customers", kept.names.Run)
	group.Go("decide", func(ctx context.Context) error {
		// An empty set of rules would answer everything with the fallback, and an empty copy of the holds everybody.
		for _, ready := range []<-chan struct{}{rules.Loaded(), kept.held.Synced()} {
			select {
			case <-ready:
			case <-ctx.Done():
				return nil
			}
		}
		return p.Run(ctx)
	})
	return group.Wait()
}

// memories are what the responder knows from buckets: who has which conversation, what it did there, what customers are called.
type memories struct {
	held  *holds.Holds
	state *state.Store
	names *customers.Customers
}

func openMemories(ctx context.Context, cfg Config, p *pipeline.Pipeline) (*memories, error) {
	log := p.Telemetry().Log
	conversations, err := p.Bucket(ctx, topology.Conversations)
	memory, err2 := p.Bucket(ctx, topology.State)
	profiles, err3 := p.Bucket(ctx, topology.Profiles)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	return &memories{
		held: holds.New(conversations, holds.Options{Log: log}), state: state.New(memory, state.Options{TTL: cfg.StateTTL, Log: log}),
		names: customers.New(profiles, customers.Options{Log: log}),
	}, nil
}

// consume says how events are handed out.
func (c Config) consume(p *pipeline.Pipeline, remembered *state.Store) pipeline.Consume {
	return pipeline.Consume{MaxInFlight: c.MaxInFlight, LeaseTTL: c.LeaseTTL, Tend: func(_ context.Context, partition int) (func(), error) {
		remembered.Forget(partition, p.Partitions()) // another owner may have written since it was ours
		return nil, nil
	}}
}
