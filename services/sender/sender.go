// Package sender is the stage that says what was decided: it is the only one that calls the Send API. A reply intent comes
// in, each of its messages is claimed in the ledger, sent once, and a delivery says what came of it.
//
// It does not decide what is said. What is automatic it keeps to itself when a person or another app has the conversation by
// then, and it tells when Meta says that one does.
package sender

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
)

// handlerName names the stage's one handler in metrics, leases and dead letters.
const handlerName = "send"

// Name is the stage's name in logs, metrics and subscriptions.
const Name = "sender"

// The bounds of what surrounds one call, which has SEND_TIMEOUT. All three fit into the default SHUTDOWN_TIMEOUT: a call that
// a stop tore apart would be an unknown outcome.
const (
	claimTimeout  = 5 * time.Second
	settleTimeout = 5 * time.Second
	// doubtMargin leaves room for a look after the time when a call cannot arrive any more.
	doubtMargin = 20 * time.Second
	// maxTypingTime is how long Instagram shows typing without being told again.
	maxTypingTime = 20 * time.Second
)

// maxQuiet bounds how long the bot may be silent by itself.
const maxQuiet = 30 * 24 * time.Hour

// maxProfileTTL: the pictures' addresses have long expired by then.
const maxProfileTTL = 365 * 24 * time.Hour

// BeforeAck is the last step of an intent: everything is told, and only the acknowledgement is missing.
const BeforeAck = "before the ack"

// Config is the sender's settings.
type Config struct {
	config.Common
	config.NATS
	accounts.Settings
	accounts.Tokens
	Alerts         alert.Settings
	GraphURL       string        `env:"GRAPH_API_URL" help:"base URL of the Graph API; Meta's host for the account's login without it"`
	GraphVersion   string        `env:"GRAPH_API_VERSION" envDefault:"v26.0" help:"version of the Graph API"`
	AppID          string        `env:"FACEBOOK_APP_ID" help:"the app's id, for token look-ups; it also tells messages of ours from others', and whose a thread is"`
	AppSecret      config.Secret `env:"FACEBOOK_APP_SECRET,required" help:"the app's secret; of several, separated by commas, the first one makes the appsecret_proof"`
	RatePerAccount float64       `env:"SEND_RATE_PER_ACCOUNT" envDefault:"100" help:"messages a second to the Send API for one account; 0 for no limit"`
	MaxInFlight    int           `env:"MAX_IN_FLIGHT" envDefault:"256" help:"messages handled at once"`
	LeaseTTL       time.Duration `env:"LEASE_TTL" envDefault:"6s" help:"how long the partitions of a killed replica wait for another"`
	OtherAppQuiet  time.Duration `env:"OTHER_APP_QUIET" envDefault:"24h" help:"how long the bot is silent at most while another app has the thread and does not pass it back"`
	SendTimeout    time.Duration `env:"SEND_TIMEOUT" envDefault:"10s" help:"how long one call of the Send API may take; what is not answered then may have been sent"`
	DoubtTimeout   time.Duration `env:"DOUBT_TIMEOUT" envDefault:"1m" help:"how long what came of a message that may have been sent is looked for, while its conversation waits; then it is unknown and left to a person. Up to ten times as long where more messages of an account are in doubt than Meta may be asked about, or nobody could ask"`
	MarkSeen       bool          `env:"MARK_SEEN" envDefault:"false" help:"show customers that their message was seen, before an automatic answer; a call of the Graph API more for each"`
	TypingTime     time.Duration `env:"TYPING_TIME" envDefault:"0s" help:"how long customers see that an automatic answer is being written, before it comes; 0 shows and waits for nothing, else it is a call of the Graph API more for each"`

	ProfileTTL time.Duration `env:"PROFILE_TTL" envDefault:"168h" help:"how long a customer's name, username and picture are taken as they are before they are looked up again; 0 looks nobody up"`

	BackfillEvery time.Duration `env:"BACKFILL_EVERY" envDefault:"15m" help:"how often an account's newest conversations are compared with what came in, to find the messages whose webhook never came; three times as often while its webhooks are quiet; 0 never"`
	BackfillAfter time.Duration `env:"BACKFILL_AFTER" envDefault:"1m" help:"how old a message is before its webhook counts as missed"`

	TokenKey config.Secret `env:"TOKEN_KEY" help:"32 random bytes as base64 (openssl rand -base64 32): encrypts the tokens of Instagram logins, which are refreshed with it and die after 60 days without it"`

	// Host is lent by a process that runs several services.
	Host *pipeline.Host `env:"-"`
	// At is told each step of a message, for tests that end the process there.
	At func(step string) `env:"-"`
}

// Validate reports every problem of the settings.
func (c Config) Validate() error {
	errs := []error{c.Common.Validate(), c.NATS.Validate(), c.Settings.Validate(), c.Tokens.Validate(c.Settings), c.Alerts.Validate()}
	if c.TokenKey != "" {
		if _, err := accounts.NewVault(c.TokenKey); err != nil {
			errs = append(errs, fmt.Errorf("TOKEN_KEY: %w", err))
		}
	}
	if c.GraphURL != "" {
		errs = append(errs, config.URL("GRAPH_API_URL", c.GraphURL, "http", "https"))
	}
	if !validVersion(c.GraphVersion) {
		errs = append(errs, fmt.Errorf("GRAPH_API_VERSION: got %q, expected a version such as v26.0", c.GraphVersion))
	}
	if c.proofSecret() == "" {
		errs = append(errs, errors.New("FACEBOOK_APP_SECRET: required, but not set"))
	}
	if !(c.RatePerAccount >= 0) {
		errs = append(errs, fmt.Errorf("SEND_RATE_PER_ACCOUNT: got %v, expected 0 or more", c.RatePerAccount))
	}
	if c.LeaseTTL < time.Second || c.LeaseTTL > time.Minute {
		errs = append(errs, fmt.Errorf("LEASE_TTL: got %s, expected 1s to 1m", c.LeaseTTL))
	}
	if c.OtherAppQuiet < time.Second || c.OtherAppQuiet > maxQuiet {
		errs = append(errs, fmt.Errorf("OTHER_APP_QUIET: got %s, expected 1s to %s", c.OtherAppQuiet, maxQuiet))
	}
	if c.MaxInFlight < 1 {
		errs = append(errs, fmt.Errorf("MAX_IN_FLIGHT: got %d, expected 1 or more", c.MaxInFlight))
	}
	if c.SendTimeout < 100*time.Millisecond || c.SendTimeout > time.Minute {
		errs = append(errs, fmt.Errorf("SEND_TIMEOUT: got %s, expected 100ms to 1m", c.SendTimeout))
	}
	if c.TypingTime < 0 || c.TypingTime > maxTypingTime {
		errs = append(errs, fmt.Errorf("TYPING_TIME: got %s, expected 0 to %s", c.TypingTime, maxTypingTime))
	}
	errs = append(errs, c.validateLookups())
	if need := c.inFlight() + doubtMargin; c.DoubtTimeout < need || c.DoubtTimeout > time.Hour {
		errs = append(errs, fmt.Errorf("DOUBT_TIMEOUT: got %s, expected %s (SEND_TIMEOUT and %s) to 1h", c.DoubtTimeout, need, need-c.SendTimeout))
	}
	return errors.Join(errs...)
}

func (c Config) validateLookups() error {
	var errs []error
	if c.ProfileTTL != 0 && (c.ProfileTTL < time.Minute || c.ProfileTTL > maxProfileTTL) {
		errs = append(errs, fmt.Errorf("PROFILE_TTL: got %s, expected 0 (off) or 1m to %s", c.ProfileTTL, maxProfileTTL))
	}
	if c.BackfillEvery != 0 && (c.BackfillEvery < time.Second || c.BackfillEvery > 24*time.Hour) {
		errs = append(errs, fmt.Errorf("BACKFILL_EVERY: got %s, expected 0 (off) or 1s to 24h", c.BackfillEvery))
	}
	if c.BackfillAfter < time.Second || c.BackfillAfter > time.Hour {
		errs = append(errs, fmt.Errorf("BACKFILL_AFTER: got %s, expected 1s to 1h", c.BackfillAfter))
	}
	return errors.Join(errs...)
}

// inFlight is how long after a claim its call may still arrive.
func (c Config) inFlight() time.Duration { return claimTimeout + c.SendTimeout + settleTimeout }

func validVersion(v string) bool {
	major, minor, ok := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	return ok && strings.HasPrefix(v, "v") && digits(major) && digits(minor)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// proofSecret is the secret that makes proofs: the first of the list.
func (c Config) proofSecret() config.Secret {
	first, _, _ := strings.Cut(c.AppSecret.Reveal(), ",")
	return config.Secret(strings.TrimSpace(first))
}

// Run sends until the context ends.
func Run(ctx context.Context, cfg Config) (err error) {
	p, err := pipeline.Open(ctx, pipeline.Options{Service: Name, Common: cfg.Common, NATS: cfg.NATS, Host: cfg.Host})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tel := p.Telemetry()

	book, err := accounts.Open(accounts.Options{Settings: cfg.Settings, Tokens: &cfg.Tokens, Log: tel.Log})
	if err != nil {
		return err
	}
	client := graph.New(graph.Options{Version: cfg.GraphVersion, Timeout: cfg.SendTimeout, MaxInFlight: cfg.MaxInFlight})
	defer client.Close()
	conversations, err := p.Bucket(ctx, topology.Conversations)
	if err != nil {
		return err
	}
	held := holds.New(conversations, holds.Options{Log: tel.Log})
	if need := cfg.inFlight(); need > cfg.ShutdownTimeout {
		tel.Log.Warn("config.stop_may_cut_calls", "shutdown_timeout", cfg.ShutdownTimeout.String(), "a_call_may_take", need.String())
	}
	tel.Health.Add("holds", held.Check)
	tel.Health.Add("accounts", func(context.Context) error { return book.Problem() })
	parts, err := assemble(ctx, cfg, p, book, client, held)
	if err != nil {
		return err
	}
	defer parts.close()
	consume := pipeline.Consume{MaxInFlight: cfg.MaxInFlight, LeaseTTL: cfg.LeaseTTL, Tend: parts.lot.Tend}
	if err := p.HandleIntents(handlerName, consume, parts.lot.Handle(parts.handler)); err != nil { //nolint:contextcheck // subscribes; the messages bring contexts of their own
		return err
	}
	group := run.NewGroup(ctx)
	group.Go("accounts", book.Run)
	group.Go("holds", held.Run)
	group.Go("send", func(ctx context.Context) error {
		select {
		case <-held.Synced(): // an empty copy would let everything out
			return p.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	group.Go("standing", parts.standing.Run)
	group.Go("tokens", parts.tokens.Run)
	group.Go("alerts", parts.alerts.Run)
	group.Go("profiles", parts.profiles.Run)
	group.Go("backfill", parts.backfill.Run)
	return group.Wait()
}

func (c Config) at() func(deliver.Step) {
	if c.At == nil {
		return nil
	}
	return func(s deliver.Step) { c.At(string(s)) }
}

// send is the stage's handler.
func send(p *pipeline.Pipeline, d *deliver.Deliverer, s *stopper, at func(step string)) pipeline.Handler[dm.ReplyIntent] {
	return func(ctx context.Context, e envelope.Envelope[dm.ReplyIntent]) ([]pipeline.Outgoing, error) {
		deliveries, err := d.Deliver(ctx, e.Data)
		out := make([]pipeline.Outgoing, 0, len(deliveries))
		for _, delivery := range deliveries {
			out = append(out, p.Delivery(delivery, e.CorrelationID, e.ID))
			hold, stopErr := s.stop(ctx, delivery)
			if stopErr != nil {
				return nil, errors.Join(err, stopErr) // nothing of it is told yet, and all of it the next time
			}
			if hold != nil {
				out = append(out, p.Event(*hold, delivery.ID))
			}
		}
		if err == nil && at != nil {
			// What is told here is not told again, because it has the same ids: the step is after it.
			if err = p.Publish(ctx, out...); err == nil {
				at(BeforeAck)
			}
		}
		if err == nil {
			return out, nil
		}
		// What is settled is told now: the rest may have to wait for hours. If it cannot be told it is told the next time.
		return nil, errors.Join(err, p.Publish(ctx, out...))
	}
}
