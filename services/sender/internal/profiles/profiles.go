// Package profiles looks up who customers are: name, username and picture, once in a while for each whom something is said to.
//
// It works beside the deliveries and never holds one up: what it has no room for is looked up with a later message. Whom Meta
// tells nothing of is remembered too, so that nobody is asked for again and again. It decides nothing and sends nothing.
package profiles

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// The bounds of what is asked: so many calls at once, so many a second for each account, so many customers waiting. What is
// remembered of customers is forgotten when it becomes too much; the bucket still has it.
const (
	workers   = 4
	perSecond = 5
	maxWait   = 1024
	maxKnown  = 50_000
)

// keptBeyond is how long a profile is kept after it is time to look again: an old name is better than none.
const keptBeyond = 30 * 24 * time.Hour

// again is when a customer is looked for again who could not be asked for, and strange when one whom Meta does not know.
const (
	again         = time.Minute
	strange       = 6 * time.Hour
	bucketTimeout = 5 * time.Second
)

// Accounts knows the accounts and their tokens.
type Accounts interface {
	Get(channel dm.Channel, id string) (accounts.Account, bool)
}

// Graph is where customers are looked up.
type Graph interface {
	Profile(ctx context.Context, cred graph.Credentials, customer string) (dm.Profile, error)
}

// Bucket is where profiles are kept.
type Bucket interface {
	Get(ctx context.Context, key string) (bus.Entry, error)
	CreateFor(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	UpdateFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error)
}

// Deps is what a Keeper works with.
type Deps struct {
	Accounts Accounts
	Graph    Graph
	Bucket   Bucket
	// Gate says which accounts are paused: they are not asked.
	Gate    *limit.Gate
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Publish tells of a profile that was found.
	Publish func(ctx context.Context, e dm.Event) error
}

// Options says how.
type Options struct {
	// TTL is how long a profile is taken as it is; 0 looks nobody up.
	TTL time.Duration
	// Credentials are those of an account, as messages are sent with.
	Credentials func(accounts.Account) graph.Credentials
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Keeper is safe for concurrent use.
type Keeper struct {
	d     Deps
	o     Options
	pace  *limit.Rates
	want  chan dm.Conversation
	looks *prometheus.CounterVec

	mu    sync.Mutex
	known map[dm.Conversation]time.Time // not to be looked for before
	quiet map[string]time.Time          // accounts that are not to be asked before
}

// New makes a Keeper. What is wanted is looked up by [Keeper.Run].
func New(d Deps, o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keeper{
		d: d, o: o, pace: limit.NewRates(perSecond), want: make(chan dm.Conversation, maxWait),
		known: map[dm.Conversation]time.Time{}, quiet: map[string]time.Time{},
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_profile_lookups_total", Help: "Customers who were looked up: found, no_consent, strange (Meta does not know them), failed, put_off.",
		}, []string{"result"}),
	}
	return k, d.Metrics.Register(k.looks)
}

// Want says that something is said to a customer. It takes no time and never fails.
func (k *Keeper) Want(c dm.Conversation) {
	if k == nil || k.o.TTL <= 0 || c.Customer == "" {
		return
	}
	now := k.o.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.known[c]) {
		return
	}
	select {
	case k.want <- c:
		k.remember(c, now.Add(again))
	default: // with a later message
	}
}

// remember needs mu.
func (k *Keeper) remember(c dm.Conversation, until time.Time) {
	if _, known := k.known[c]; !known && len(k.known) >= maxKnown {
		clear(k.known)
	}
	k.known[c] = until
}

// Run looks up who is wanted, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { k.work(ctx) })
	}
	group.Wait()
	return nil
}

func (k *Keeper) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-k.want:
			if ctx.Err() != nil {
				return
			}
			result, until, err := k.look(ctx, c)
			k.mu.Lock()
			k.remember(c, until)
			k.mu.Unlock()
			if result != "" {
				k.looks.WithLabelValues(result).Inc()
			}
			if err != nil && ctx.Err() == nil {
				k.d.Log.WarnContext(ctx, "profile.look", telemetry.KeyAccount, c.Account, telemetry.KeyError, err)
			}
		}
	}
}

// look looks a customer up, unless that was done lately, and says until when to leave it at that.
func (k *Keeper) look(ctx context.Context, c dm.Conversation) (result string, until time.Time, err error) {
	soon := k.o.Now().Add(again)
	account, ok := k.d.Accounts.Get(c.Channel, c.Account)
	if !ok || account.Token == "" || k.asleep(account) {
		return "put_off", soon, nil
	}
	kept, revision, err := k.kept(ctx, c)
	if err != nil {
		return "failed", soon, err
	}
	if fresh := kept.FetchedAt.Add(k.o.TTL); k.o.Now().Before(fresh) {
		return "", fresh, nil
	}
	if !k.turn(ctx, c.Account) {
		return "put_off", soon, nil
	}
	found, err := k.d.Graph.Profile(ctx, k.o.Credentials(account), c.Customer)
	result = "found"
	switch class := graph.ClassOf(err); {
	case err == nil:
	case class == graph.ClassNoProfile:
		found, result = dm.Profile{NoConsent: true}, "no_consent"
	case class == graph.ClassPermanent || class == graph.ClassNotFound:
		return "strange", k.o.Now().Add(strange), nil
	default:
		k.leave(c.Account, err)
		return "failed", soon, err
	}
	found.FetchedAt = k.o.Now().UTC().Truncate(time.Microsecond)
	if err := k.keep(ctx, c, found, revision); err != nil {
		return "failed", soon, err
	}
	return result, found.FetchedAt.Add(k.o.TTL), nil
}

// turn waits for the account's turn to be asked; false where that is too far away.
func (k *Keeper) turn(ctx context.Context, account string) bool {
	_, err := k.pace.Wait(ctx, account, limit.Lookups, ctx.Done())
	return err == nil
}

// asleep says whether an account is not to be asked: it is paused, or an earlier look-up was refused.
func (k *Keeper) asleep(a accounts.Account) bool {
	if k.d.Gate.Shut(limit.Account(a.ID), a.Token) || k.d.Gate.Shut(limit.App(string(a.Login)), a.Token) {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.o.Now().Before(k.quiet[a.ID])
}

// leave lets an account alone for a while whose look-ups are refused. Whether it may send is found out by sending.
func (k *Keeper) leave(account string, err error) {
	wait := again
	var e *graph.Error
	if errors.As(err, &e) {
		wait = max(wait, e.Wait())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.quiet[account] = k.o.Now().Add(wait)
}

func (k *Keeper) kept(ctx context.Context, c dm.Conversation) (p dm.Profile, revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	e, err := k.d.Bucket.Get(ctx, topology.ConversationKey(c))
	if errors.Is(err, bus.ErrKeyNotFound) {
		return dm.Profile{}, 0, nil
	}
	if err != nil {
		return dm.Profile{}, 0, err
	}
	if json.Unmarshal(e.Value, &p) != nil {
		return dm.Profile{}, e.Revision, nil // somebody else's doing: looked up anew
	}
	return p, e.Revision, nil
}

// keep tells of a profile first and notes it then: what was told twice is harmless, and what was noted is not told again.
func (k *Keeper) keep(ctx context.Context, c dm.Conversation, p dm.Profile, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	if err := k.d.Publish(ctx, event(c, p)); err != nil {
		return fmt.Errorf("tell of a profile: %w", err)
	}
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode a profile: %w", err)
	}
	key := topology.ConversationKey(c)
	if revision == 0 {
		_, err = k.d.Bucket.CreateFor(ctx, key, value, k.o.TTL+keptBeyond)
	} else {
		_, err = k.d.Bucket.UpdateFor(ctx, key, value, revision, k.o.TTL+keptBeyond)
	}
	if errors.Is(err, bus.ErrKeyExists) || errors.Is(err, bus.ErrWrongRevision) {
		return nil // another owner of the account was as quick
	}
	return err
}

func event(c dm.Conversation, p dm.Profile) dm.Event {
	return dm.Event{
		ID:           dm.EventID(c.Channel, c.Account, dm.KindProfile, c.Customer, strconv.FormatInt(p.FetchedAt.UnixMicro(), 10)),
		Conversation: c, Kind: dm.KindProfile, KnownAccount: true, Time: p.FetchedAt, ReceivedAt: p.FetchedAt, Source: dm.SourceParley, Profile: &p,
	}
}
