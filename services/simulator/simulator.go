// Package simulator is Meta, played: a Graph API as strict as Meta's, webhooks signed and repeated as Meta's are, a page of
// phones to write on as a customer, faults to order, and a verdict over what every customer received.
//
// It is for local use and for tests. It keeps everything in memory and knows nothing of the bus or the database.
package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/simulator/internal/about"
	"github.com/parley-dm/parley/services/simulator/internal/answer"
	"github.com/parley-dm/parley/services/simulator/internal/cdn"
	"github.com/parley-dm/parley/services/simulator/internal/clock"
	"github.com/parley-dm/parley/services/simulator/internal/control"
	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/graph"
	"github.com/parley-dm/parley/services/simulator/internal/load"
	"github.com/parley-dm/parley/services/simulator/internal/phone"
	"github.com/parley-dm/parley/services/simulator/internal/play"
	"github.com/parley-dm/parley/services/simulator/internal/subscription"
	"github.com/parley-dm/parley/services/simulator/internal/token"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// What follows is for processes and tests that run a simulator in themselves.
type (
	// Account is a business account that webhooks are about.
	Account = world.Account
	// Action is something that a customer does.
	Action = play.Action
	// Key names a conversation.
	Key = world.Key
	// Kind says what an action or a message is.
	Kind = world.Kind
	// Message is a message as it was recorded.
	Message = world.Message
	// Totals counts what happened.
	Totals = world.Totals
	// Fault is something that goes wrong on purpose.
	Fault = fault.Fault
	// LoadOptions say how much load.
	LoadOptions = load.Options
	// LoadPair is a message and the reply that it must get.
	LoadPair = load.Pair
	// LoadDuration is a time.Duration that is written as "1.5s" in JSON.
	LoadDuration = load.Duration
	// LoadProgress is how far a load has come.
	LoadProgress = load.Progress
	// LoadResult is what came of a load.
	LoadResult = load.Result
	// Verdict is the judgement over what every customer received.
	Verdict = load.Summary
)

// Simulator plays Meta. New makes it, Close ends it.
type Simulator struct {
	cfg      Config
	clock    *clock.Clock
	world    *world.World
	tokens   *token.Book
	subs     *subscription.Book
	webhooks *webhooks.Sender
	player   *play.Player
	faults   *fault.Set
	loads    *load.Keeper
	graph    *graph.API
	phone    *phone.Page
	cdn      *cdn.CDN
	own      http.Handler
}

// New makes a simulator that is not listening yet. Its metrics go to cfg.Telemetry, if there is one.
func New(cfg Config) (*Simulator, error) {
	if len(cfg.secrets()) == 0 {
		return nil, errNoSecret
	}
	t := cfg.Telemetry
	if t == nil {
		t = telemetry.Discard()
	}
	accounts, err := cfg.accounts()
	if err != nil {
		return nil, err
	}
	s := &Simulator{cfg: cfg, clock: clock.New(), faults: fault.NewSet(cfg.FaultSeed)}
	s.world = world.New(accounts, world.Options{MaxMessages: cfg.LedgerLimit, MaxConversations: maxConversations, Now: s.clock.Now})
	s.cdn = cdn.New(s.clock.Now)
	s.cdn.At(cfg.MediaURL)
	s.tokens = token.NewBook(token.Options{Secrets: cfg.secrets(), TTL: cfg.TokenTTL, Now: s.clock.Now})
	var ids []string
	for _, a := range accounts {
		s.tokens.Begin(a.ID, a.Token)
		ids = append(ids, a.ID)
	}
	s.subs = subscription.NewBook(ids, cfg.UnsubscribeAfter, s.clock.Now)
	s.webhooks = webhooks.New(webhooks.Options{
		URL: cfg.WebhookURL, Secret: cfg.secrets()[0], Timeout: cfg.WebhookTimeout, RetryBase: cfg.WebhookRetryBase,
		RetryMax: cfg.WebhookRetryMax, GiveUp: cfg.WebhookGiveUp, Clock: s.clock, Concurrency: cfg.WebhookConcurrency,
		MaxWaiting: maxWaitingWebhooks,
	})
	if err := s.build(t); err != nil {
		return nil, err
	}
	return s, nil
}

// build makes what plays on the parts.
func (s *Simulator) build(t *telemetry.Telemetry) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	cfg := s.cfg
	s.player, err = play.New(
		play.Deps{World: s.world, Webhooks: s.webhooks, Subscriptions: s.subs, Clock: s.clock, Faults: s.faults, Metrics: t.Metrics},
		play.Options{AppID: cfg.AppID, EchoDelay: cfg.EchoDelay, NoEcho: !cfg.Echo, Link: s.cdn.Link},
	)
	if err != nil {
		return err
	}
	allowance := cfg.GraphAllowance
	if cfg.GraphRate == 0 {
		allowance = 0
	}
	s.graph, err = graph.New(graph.Deps{
		World: s.world, Tokens: s.tokens, Subscriptions: s.subs, Echoer: s.player, Faults: s.faults, Metrics: t.Metrics, Link: s.cdn.Link,
	}, graph.Options{
		Secrets: cfg.secrets(), RequireProof: cfg.RequireProof, StrictRecipients: cfg.StrictRecipients, IgnoreWindow: !cfg.Window,
		Rate: cfg.GraphRate, Allowance: allowance, Delay: cfg.GraphDelay, AppID: cfg.AppID,
	})
	if err != nil {
		return err
	}
	s.loads = load.NewKeeper(s.loadDeps())
	s.phone, err = phone.New(phone.Deps{World: s.world, Player: s.player}, phone.Options{WebhookURL: cfg.WebhookURL, Condition: s.condition})
	if err != nil {
		return err
	}
	ctl := control.New(control.Deps{
		World: s.world, Player: s.player, Webhooks: s.webhooks, Faults: s.faults, Loads: s.loads, Clock: s.clock, Tokens: s.tokens,
		Subscriptions: s.subs,
	})
	pages, err := about.New(ctl.Routes(), s.phone.Assets())
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/control/", ctl)
	mux.Handle("/api", pages)
	mux.Handle("/api/", pages)
	mux.Handle("GET "+cdn.Prefix, s.cdn)
	mux.Handle("/", s.phone)
	s.own = answer.Frame(mux)
	return nil
}

// condition is what the phone page warns of.
func (s *Simulator) condition() phone.Condition {
	c := phone.Condition{Faults: s.faults.Len(), AheadSeconds: int(s.clock.Ahead().Seconds())}
	for _, state := range s.subs.States() {
		if !state.Subscribed {
			c.Unsubscribed++
		}
	}
	return c
}

func (s *Simulator) loadDeps() load.Deps {
	return load.Deps{World: s.world, Player: s.player, Webhooks: s.webhooks}
}

// Handler serves the played Graph API, the phone page and /control.
func (s *Simulator) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if graph.Serves(r.URL.Path) {
			s.graph.ServeHTTP(w, r)
			return
		}
		s.own.ServeHTTP(w, r)
	})
}

// Say does something as a customer: its webhook is sent as soon as the customer's earlier ones were accepted.
func (s *Simulator) Say(a Action) (Message, error) {
	account, err := s.world.Account(a.Account)
	if err != nil {
		return Message{}, err
	}
	a.Account = account.ID
	return s.player.Say(a)
}

// AddFault makes something go wrong from now on.
func (s *Simulator) AddFault(f Fault) (Fault, error) { return s.faults.Add(f) }

// RemoveFaults makes everything go right again.
func (s *Simulator) RemoveFaults() { s.faults.Remove("") }

// Advance moves Meta's clock forward: windows close, tokens age, retries come due.
func (s *Simulator) Advance(by time.Duration) { s.clock.Advance(by) }

// KillToken makes an account's token dead with a subcode of 190; IssueToken gives it another one.
func (s *Simulator) KillToken(account string, subcode int) error {
	return s.tokens.Kill(account, subcode)
}

// IssueToken gives an account another token, which lives as long as SIMULATOR_TOKEN_TTL says; the one before is dead.
func (s *Simulator) IssueToken(account, value string) error {
	_, err := s.tokens.Issue(account, value, 0)
	return err
}

// Accounts lists the accounts.
func (s *Simulator) Accounts() []Account { return s.world.Accounts() }

// Messages is a conversation's record, oldest first.
func (s *Simulator) Messages(k Key) []Message {
	h, _ := s.world.History(k)
	return h.Messages
}

// Totals counts what happened since the start or the last reset.
func (s *Simulator) Totals() Totals { return s.world.Totals() }

// Verdict judges everything so far.
func (s *Simulator) Verdict() Verdict { return load.Report(s.world.Verdict(world.Scope{})) }

// Load plays many customers and judges what they received.
func (s *Simulator) Load(ctx context.Context, o LoadOptions, progress func(LoadProgress)) (LoadResult, error) {
	return load.Run(ctx, s.loadDeps(), o, progress)
}

// Close stops everything that runs in the background. Webhooks that are being posted are finished, those that wait for a
// retry are dropped.
func (s *Simulator) Close() error {
	if s.phone != nil {
		s.phone.Close()
	}
	if s.loads != nil {
		s.loads.Close()
	}
	if s.graph != nil {
		s.graph.Close()
	}
	if s.player != nil {
		s.player.Close()
	}
	s.webhooks.Close()
	return nil
}

// Run serves the simulator until the context ends.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Telemetry == nil {
		t, err := telemetry.Start(ctx, telemetry.Options{Service: "simulator", Common: cfg.Common})
		if err != nil {
			return err
		}
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = t.Close(closing)
		}()
		cfg.Telemetry = t
	}
	s, err := New(cfg)
	if err != nil {
		return err
	}
	return s.Serve(ctx, nil)
}

// Serve listens on SIMULATOR_ADDR until the context ends, and closes the simulator. ready, if not nil, is closed when it
// listens.
func (s *Simulator) Serve(ctx context.Context, ready chan<- struct{}) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("listen on SIMULATOR_ADDR %s: %w", s.cfg.Addr, err), s.Close())
	}
	if s.cfg.MediaURL == "" {
		s.cdn.At("http://" + reachable(listener.Addr()))
	}
	log := slog.New(slog.DiscardHandler)
	if s.cfg.Telemetry != nil {
		log = s.cfg.Telemetry.Log
	}
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(s.phone.Close)
	server.RegisterOnShutdown(s.graph.Close)
	log.InfoContext(ctx, "simulator.listening", "addr", listener.Addr().String(), "webhook_url", redact(s.cfg.WebhookURL))
	if ready != nil {
		close(ready)
	}
	group := run.NewGroup(ctx)
	group.Go("serve", func(context.Context) error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go("stop", func(ctx context.Context) error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
		defer cancel()
		if err := server.Shutdown(closing); err != nil {
			return errors.Join(fmt.Errorf("shut down: %w", err), server.Close())
		}
		return nil
	})
	return errors.Join(group.Wait(), s.Close())
}

// reachable is an address that this machine reaches a listener by.
func reachable(at net.Addr) string {
	host, port, err := net.SplitHostPort(at.String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return at.String()
}

// MediaAt says under which URL the simulator's own files are reached, for who serves its [Simulator.Handler].
func (s *Simulator) MediaAt(base string) { s.cdn.At(base) }

// redact takes a user and password out of a URL.
func redact(raw string) string {
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		if _, host, ok := strings.Cut(rest, "@"); ok {
			return scheme + "://" + host
		}
	}
	return raw
}
