// Package backfill finds the messages whose webhooks Meta never sent: it compares the newest conversations of an account with
// what came in, publishes what is missing as events, and raises an alert.
//
// An event that it makes has the id that the webhook's would have had, so that one which comes after all is the same event and
// is answered no second time. It decides nothing: whether a message that was missed is still answered is the responder's. What
// an account said itself is published before what its customers said, so that a person who has answered is known first. While
// webhooks wait in a spool of ingress it does not look: they did come, and what it took for missed would overtake those before it.
// What was erased here is still at Meta, and is left there.
package backfill

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// The bounds of one look at an account: so many pages of conversations, so many conversations and missed messages that are
// looked at one by one, so long. What is left over is looked at the next time. Pages begin with the newest conversations: where
// they do not reach back to those that were seen the last time, the next look may read twice as many.
const (
	maxPages         = 10
	mostPages        = 32 * maxPages
	maxConversations = 300
	lookTimeout      = 10 * time.Minute
	maxLooking       = 8
)

// lookBack is how far back the first look goes: what is older is not answered anyway. overlap covers clocks that differ, and
// messages that were being written while we looked.
const (
	lookBack = 24 * time.Hour
	overlap  = 2 * time.Minute
	// again is when an account is looked at again whose look failed.
	again = time.Minute
)

// quietShare is the part of Every after which an account is looked at whose webhooks have stopped coming.
const quietShare = 3

// Accounts lists the accounts.
type Accounts interface{ All() []accounts.Account }

// Graph is the conversations endpoint.
type Graph interface {
	Recent(ctx context.Context, cred graph.Credentials, since time.Time, pages int, turn func(call func() error) error) ([]graph.ConversationRef, bool, error)
	Messages(ctx context.Context, cred graph.Credentials, conversation string) ([]graph.MessageRef, error)
	FullMessage(ctx context.Context, cred graph.Credentials, mid string) (graph.Message, error)
	Message(ctx context.Context, cred graph.Credentials, mid string) (graph.Message, error)
}

// Streams is what came in and went out.
type Streams interface {
	Past(ctx context.Context, account string, since time.Time) (pipeline.Past, error)
	Spooled(ctx context.Context) (bool, error)
	WithoutErased(ctx context.Context, events []dm.Event) ([]dm.Event, error)
}

// Turns gives an account's turns at the conversations endpoint.
type Turns interface {
	Aside(ctx context.Context, account string, call func() error) error
}

// Deps is what a Keeper works with.
type Deps struct {
	Accounts Accounts
	Graph    Graph
	Streams  Streams
	Turns    Turns
	// Gate says which accounts are paused: they are not asked.
	Gate    *limit.Gate
	Alerts  *alert.Alerts
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Owns says whether an account is ours to look after.
	Owns func(channel dm.Channel, account string) bool
	// Publish tells of what was missed, in this order.
	Publish func(ctx context.Context, events []dm.Event) error
}

// Options says how.
type Options struct {
	// Every is how often an account is looked at; 0 never. After is how old a message is before it counts as missed.
	Every, After time.Duration
	// Credentials are those of an account, as messages are sent with.
	Credentials func(accounts.Account) graph.Credentials
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// account is what is remembered of one while it is ours.
type account struct {
	// due is when to look, next when at the latest; seen is until when nothing is missing.
	due, seen time.Time
	looking   bool
	// pages is how many pages of conversations the next look may read.
	pages int
}

// Keeper looks after accounts.
type Keeper struct {
	d      Deps
	o      Options
	places chan struct{}
	found  *prometheus.CounterVec

	mu   sync.Mutex
	ours map[string]*account
}

// New makes a Keeper, which works while it runs.
func New(d Deps, o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keeper{
		d: d, o: o, places: make(chan struct{}, maxLooking), ours: map[string]*account{},
		found: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_backfilled_total", Help: "Messages whose webhook did not come, by kind: message, echo; lost could not be read any more.",
		}, []string{"kind"}),
	}
	return k, d.Metrics.Register(k.found)
}

// Run looks until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	if k.o.Every <= 0 {
		<-ctx.Done()
		return nil
	}
	var looks sync.WaitGroup
	defer looks.Wait()
	tick := time.NewTicker(min(max(k.o.Every/20, 100*time.Millisecond), 10*time.Second))
	defer tick.Stop()
	for {
		for _, a := range k.d.Accounts.All() {
			if k.begin(a) {
				looks.Go(func() { k.one(ctx, a) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// begin says whether an account is to be looked at now, and takes a place for it.
func (k *Keeper) begin(a accounts.Account) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	mine := k.ours[a.ID]
	switch {
	case mine != nil && mine.looking:
		return false
	case a.Token == "" || !k.d.Owns(a.Channel, a.ID):
		delete(k.ours, a.ID) // its next owner begins anew, and so do we
		return false
	case mine == nil:
		mine = &account{pages: maxPages}
		k.ours[a.ID] = mine
	}
	if k.o.Now().Before(mine.due) {
		return false
	}
	select {
	case k.places <- struct{}{}:
		mine.looking = true
		return true
	default:
		return false
	}
}

// one looks at an account once.
func (k *Keeper) one(ctx context.Context, a accounts.Account) {
	defer func() { <-k.places }()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	k.mu.Lock()
	since, pages := k.ours[a.ID].seen, k.ours[a.ID].pages
	k.mu.Unlock()
	wait := k.o.Every
	saw, err := sight{seen: since, whole: true}, error(nil)
	if k.d.Gate.Shut(limit.Account(a.ID), a.Token) || k.d.Gate.Shut(limit.App(string(a.Login)), a.Token) {
		wait = min(again, k.o.Every)
	} else {
		saw, err = k.look(ctx, a, since, pages)
	}
	switch {
	case err != nil:
		wait = max(min(again, k.o.Every), patience(err))
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			k.d.Log.WarnContext(ctx, "backfill.look", telemetry.KeyAccount, a.ID, telemetry.KeyError, err)
		}
	case saw.early:
		wait = min(again, k.o.Every)
	case !saw.whole, saw.quiet:
		wait = k.o.Every / quietShare
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if mine := k.ours[a.ID]; mine != nil {
		mine.due, mine.looking = k.o.Now().Add(wait), false
		if saw.seen.After(mine.seen) {
			mine.seen = saw.seen
		}
		switch {
		case err != nil:
		case saw.whole:
			mine.pages = maxPages
		default:
			mine.pages = min(2*mine.pages, mostPages)
		}
	}
}

// patience is how long Meta wants to be left alone.
func patience(err error) time.Duration {
	var e *graph.Error
	if errors.As(err, &e) {
		return e.Wait()
	}
	return 0
}

// sight is what a look saw.
type sight struct {
	// seen is until when nothing is missing any more.
	seen time.Time
	// quiet: the account's webhooks have stopped coming. whole: the pages reached back to what was seen before. early: webhooks
	// wait in a spool, so that it did not look.
	quiet, whole, early bool
}

// look compares.
func (k *Keeper) look(ctx context.Context, a accounts.Account, since time.Time, pages int) (sight, error) {
	saw := sight{seen: since, whole: true}
	// Before anything else: what leaves a spool from now on is in the streams when they are read.
	if early, err := k.d.Streams.Spooled(ctx); err != nil || early {
		saw.early = early
		return saw, err
	}
	now := k.o.Now()
	from := now.Add(-lookBack)
	if at := since.Add(-overlap); at.After(from) {
		from = at
	}
	past, err := k.past(ctx, a.ID, from)
	switch {
	case err != nil:
		return saw, err
	case past.Since.IsZero(): // nothing ever came of it: what was said before is not ours
		saw.quiet = true
		return saw, nil
	}
	saw.quiet = now.Sub(past.Latest) > k.o.Every/quietShare
	cred := k.o.Credentials(a)
	until := now.Add(-k.o.After)
	changed, whole, err := k.d.Graph.Recent(ctx, cred, past.Since.Truncate(time.Second), pages, func(call func() error) error { return k.d.Turns.Aside(ctx, a.ID, call) })
	if err != nil {
		return saw, err
	}
	slices.Reverse(changed) // the oldest first, so that what is left over is the newest
	seen := until
	if len(changed) > maxConversations {
		changed = changed[:maxConversations]
		seen = changed[len(changed)-1].Updated
	}
	missed, lost := &finding{}, 0
	for _, c := range changed {
		n, err := k.conversation(ctx, a, cred, c.ID, past, until, missed)
		if err != nil {
			return saw, errors.Join(err, k.tell(ctx, a, missed, lost))
		}
		lost += n
	}
	if err := k.tell(ctx, a, missed, lost); err != nil {
		return saw, err
	}
	if !whole || !seen.Equal(until) {
		k.d.Log.InfoContext(ctx, "backfill.more", telemetry.KeyAccount, a.ID, "conversations", len(changed), "pages", pages)
	}
	// Where no page had the older ones they are still missing: the next look begins where this one did.
	if saw.whole = whole; whole {
		saw.seen = seen
	}
	return saw, nil
}

// past is what is known; of an account with more messages than can be looked through, less far back.
func (k *Keeper) past(ctx context.Context, account string, from time.Time) (past pipeline.Past, err error) {
	now := k.o.Now()
	for back := now.Sub(from); ; back /= 4 {
		past, err = k.d.Streams.Past(ctx, account, now.Add(-back))
		if !errors.Is(err, pipeline.ErrLongPast) || back < overlap {
			return past, err
		}
	}
}

// conversation looks through the newest messages of one, and says how many are missing that cannot be read any more.
func (k *Keeper) conversation(ctx context.Context, a accounts.Account, cred graph.Credentials, id string, past pipeline.Past, until time.Time, to *finding) (lost int, err error) {
	var refs []graph.MessageRef
	err = k.d.Turns.Aside(ctx, a.ID, func() (err error) {
		refs, err = k.d.Graph.Messages(ctx, cred, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, ref := range refs {
		// Times of the Graph API are whole seconds.
		if ref.Created.Before(past.Since.Truncate(time.Second)) || ref.Created.After(until) {
			continue
		}
		if _, known := past.MIDs[ref.ID]; known {
			continue
		}
		m, err := k.message(ctx, a, cred, ref.ID)
		switch class := graph.ClassOf(err); {
		case err == nil:
			if !to.add(a, m, ref, k.o.Now()) {
				lost++
			}
		case class == graph.ClassNotFound || class == graph.ClassPermanent:
			lost++
		default:
			return lost, err
		}
	}
	return lost, nil
}

// message looks a message up with what it has beside its text: the webhook that comes after all may be dropped as the same event,
// and what this one does not tell is then never known. Where that may not be asked for the text will do.
func (k *Keeper) message(ctx context.Context, a accounts.Account, cred graph.Credentials, mid string) (m graph.Message, err error) {
	for _, look := range []func(context.Context, graph.Credentials, string) (graph.Message, error){k.d.Graph.FullMessage, k.d.Graph.Message} {
		err = k.d.Turns.Aside(ctx, a.ID, func() (err error) {
			m, err = look(ctx, cred, mid)
			return err
		})
		if err == nil || graph.ClassOf(err) != graph.ClassPermanent {
			break
		}
	}
	return m, err
}
