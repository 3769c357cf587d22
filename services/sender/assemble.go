package sender

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/backfill"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/limit"
	"github.com/parley-dm/parley/services/sender/internal/park"
	"github.com/parley-dm/parley/services/sender/internal/profiles"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
	"github.com/parley-dm/parley/services/sender/internal/standing"
	"github.com/parley-dm/parley/services/sender/internal/tokens"
)

// parts are what the stage is made of.
type parts struct {
	alerts   *alert.Alerts
	standing *standing.Keeper
	tokens   *tokens.Keeper
	lot      *park.Lot
	profiles *profiles.Keeper
	backfill *backfill.Keeper
	close    func()
	handler  pipeline.Handler[dm.ReplyIntent]
}

// assemble makes the parts, from the bottom up: alerts, how accounts stand, deliveries, parking, tokens.
func assemble(ctx context.Context, cfg Config, p *pipeline.Pipeline, book *accounts.Book, client *graph.Client, held *holds.Holds) (*parts, error) {
	tel := p.Telemetry()
	s, gate := &parts{}, limit.NewGate(nil)
	var err error
	if s.alerts, err = alert.New(cfg.Alerts, alert.Options{Service: Name, Log: tel.Log, Metrics: tel.Metrics}); err != nil {
		return nil, err
	}
	states, err := p.Bucket(ctx, topology.Accounts)
	if err != nil {
		return nil, err
	}
	s.standing = standing.New(standing.Deps{
		Bucket: states, Accounts: book, Gate: gate, Alerts: s.alerts, Log: tel.Log, Ended: func() { s.lot.Hurry() }, // it runs when all is assembled
	})

	memory, err := p.Bucket(ctx, topology.Ledger)
	if err != nil {
		return nil, err
	}
	reconciler := reconcile.New(p, client)
	deliverer, err := deliver.New(deliver.Deps{
		Accounts: book, Graph: client, Log: tel.Log, Metrics: tel.Metrics, Pauses: s.standing, Gate: gate,
		Ledger:     ledger.New(memory, ledger.Options{Doubt: cfg.DoubtTimeout, SettleTimeout: settleTimeout}),
		Reconciler: reconciler, Holds: held, Sent: p,
	}, deliver.Options{
		GraphURL: strings.TrimRight(cfg.GraphURL, "/"), AppSecret: cfg.proofSecret(), RatePerAccount: cfg.RatePerAccount, ClaimTimeout: claimTimeout,
		InFlight: cfg.inFlight(), At: cfg.at(), MarkSeen: cfg.MarkSeen, TypingTime: cfg.TypingTime,
	})
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}

	s.close = deliverer.Close
	if s.profiles, err = lookUpCustomers(ctx, cfg, p, book, client, gate, deliverer); err != nil {
		return nil, err
	}
	s.handler = send(p, deliverer, &stopper{holds: held, quiet: cfg.OtherAppQuiet, alerts: s.alerts, log: tel.Log}, cfg.At)
	s.handler = wanting(s.profiles, s.handler)
	parking, err := p.Parking(ctx, handlerName, s.handler)
	if err != nil {
		return nil, err
	}
	s.lot, err = park.New(parking, park.Options{
		Handler: handlerName, MaxInFlight: cfg.MaxInFlight, Changed: book.Changed, Log: tel.Log, Metrics: tel.Metrics,
		// A queue's name says the account and not the channel; there is one channel so far.
		Depth: func(account string, parked uint64) { s.standing.Parked(dm.ChannelInstagram, account, parked) },
	})
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if s.backfill, err = lookForMissed(cfg, p, book, client, gate, deliverer, reconciler, s); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s.tokens, err = lookAfterTokens(ctx, cfg, p, book, client, deliverer, s)
	return s, err
}

// lookUpCustomers makes the part that knows who customers are.
func lookUpCustomers(ctx context.Context, cfg Config, p *pipeline.Pipeline, book *accounts.Book, client *graph.Client, gate *limit.Gate, d *deliver.Deliverer) (*profiles.Keeper, error) {
	kept, err := p.Bucket(ctx, topology.Profiles)
	if err != nil {
		return nil, err
	}
	keeper, err := profiles.New(profiles.Deps{
		Accounts: book, Graph: client, Bucket: kept, Gate: gate, Log: p.Telemetry().Log, Metrics: p.Telemetry().Metrics,
		Publish: func(ctx context.Context, e dm.Event) error { return p.Publish(ctx, p.Event(e, "")) },
	}, profiles.Options{TTL: cfg.ProfileTTL, Credentials: d.Credentials})
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return keeper, nil
}

// lookForMissed makes the part that finds what no webhook told.
func lookForMissed(cfg Config, p *pipeline.Pipeline, book *accounts.Book, client *graph.Client, gate *limit.Gate, d *deliver.Deliverer, turns backfill.Turns, s *parts) (*backfill.Keeper, error) {
	return backfill.New(backfill.Deps{
		Accounts: book, Graph: client, Streams: p, Turns: turns, Gate: gate, Alerts: s.alerts, Log: p.Telemetry().Log, Metrics: p.Telemetry().Metrics, Owns: s.owns(p),
		Publish: func(ctx context.Context, events []dm.Event) error {
			out := make([]pipeline.Outgoing, 0, len(events))
			for _, e := range events {
				out = append(out, p.Event(e, ""))
			}
			return p.Publish(ctx, out...)
		},
	}, backfill.Options{Every: cfg.BackfillEvery, After: cfg.BackfillAfter, Credentials: d.Credentials})
}

// owns says whether an account is ours to look after.
func (s *parts) owns(p *pipeline.Pipeline) func(dm.Channel, string) bool {
	return func(channel dm.Channel, account string) bool {
		return s.lot.Owns(dm.AccountPartition(channel, account, p.Partitions()))
	}
}

// wanting has customers looked up to whom something is said.
func wanting(k *profiles.Keeper, next pipeline.Handler[dm.ReplyIntent]) pipeline.Handler[dm.ReplyIntent] {
	return func(ctx context.Context, e envelope.Envelope[dm.ReplyIntent]) ([]pipeline.Outgoing, error) {
		k.Want(e.Data.Conversation)
		return next(ctx, e)
	}
}

// lookAfterTokens makes the part that knows when tokens die.
func lookAfterTokens(ctx context.Context, cfg Config, p *pipeline.Pipeline, book *accounts.Book, client *graph.Client, d *deliver.Deliverer, s *parts) (*tokens.Keeper, error) {
	kept, err := p.Bucket(ctx, topology.Tokens)
	if err != nil {
		return nil, err
	}
	var vault *accounts.Vault
	if cfg.TokenKey != "" {
		if vault, err = accounts.NewVault(cfg.TokenKey); err != nil {
			return nil, fmt.Errorf("TOKEN_KEY: %w", err)
		}
	}
	for _, a := range book.All() {
		if vault == nil && a.Login == accounts.LoginInstagram {
			p.Telemetry().Log.Warn("config.tokens_are_not_refreshed", "what_to_do", "set TOKEN_KEY: tokens of Instagram logins die 60 days after they were made")
			break
		}
	}
	return tokens.New(tokens.Deps{
		Book: book, Graph: client, Bucket: kept, Standing: s.standing, Alerts: s.alerts, Log: p.Telemetry().Log, Vault: vault,
		Owns: s.owns(p),
	}, tokens.Options{Credentials: d.Credentials, AppID: cfg.AppID, AppSecret: cfg.proofSecret()}), nil
}
