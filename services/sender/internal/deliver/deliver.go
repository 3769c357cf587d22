// Package deliver carries out reply intents: it claims each message in the ledger, calls the Send API once, and says what
// came of it.
//
// It never calls again for a message that may have gone out. Such a message is in doubt: what came of it is found out, or it
// is unknown in the end. What is known not to have gone out and may go later is open again in the ledger. The error that is
// returned says when to come back; the bus does the waiting.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/limit"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
)

// Accounts knows the accounts and their tokens.
type Accounts interface {
	Get(channel dm.Channel, id string) (accounts.Account, bool)
}

// Graph is the Send API.
type Graph interface {
	Send(ctx context.Context, cred graph.Credentials, recipient string, part dm.Part) (graph.SendResult, error)
}

// Ledger remembers what was claimed and what came of it.
type Ledger interface {
	Claim(ctx context.Context, key string) (*ledger.Claim, error)
	Settle(ctx context.Context, c *ledger.Claim, outcome ledger.Entry) (ledger.Entry, error)
	Resolve(ctx context.Context, d *ledger.DoubtError, outcome ledger.Entry) (ledger.Entry, error)
}

// Reconciler finds out what came of a message that may have been sent.
type Reconciler interface {
	Look(ctx context.Context, q reconcile.Question) (reconcile.Answer, error)
}

// Deps is what a Deliverer works with.
type Deps struct {
	Accounts Accounts
	Graph    Graph
	Ledger   Ledger
	// Holds may be nil: nobody but the bot has any conversation then.
	Holds Holds
	// Sent may be nil: whoever took a conversation is believed then.
	Sent Sent
	// Reconciler may be nil: what is in doubt is then unknown in the end.
	Reconciler Reconciler
	// Pauses may be nil: nobody is told.
	Pauses Pauses
	// Gate holds paused accounts back; one of its own if nil.
	Gate    *limit.Gate
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Options says how to deliver.
type Options struct {
	// GraphURL is the base URL of the Graph API for accounts that have none of their own; empty for Meta's hosts.
	GraphURL string
	// AppSecret makes the appsecret_proof of accounts that have no secret of their own.
	AppSecret config.Secret
	// RatePerAccount bounds the messages a second of one account; 0 does not.
	RatePerAccount float64
	// MaxAttempts bounds the calls for one message that Meta answered with a temporary failure. 12 if zero, which takes
	// about two minutes. Calls that cannot have reached Meta do not count: they say nothing of the message.
	MaxAttempts int
	// ClaimTimeout bounds the claim of one message; 5 seconds if zero.
	ClaimTimeout time.Duration
	// InFlight is how long after a claim its call may still arrive; 20 seconds if zero. What is not there then was not sent.
	InFlight time.Duration
	// MarkSeen shows the customer, before an automatic answer, that their message was seen. TypingTime is how long they see
	// that an answer is being written; 0 shows nothing. Each is a call of its own.
	MarkSeen   bool
	TypingTime time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// At is told each step of a message, for tests that end the process there; nil tells nobody.
	At func(Step)
}

// Step is a place in a message's way where the process may end.
type Step string

// The steps.
const (
	BeforeClaim  Step = "before the claim"
	AfterClaim   Step = "after the claim"
	AfterCall    Step = "after the call"
	AfterOutcome Step = "after the outcome is written"
)

// Deliverer carries out reply intents. It is safe for concurrent use, and for the same intent twice.
type Deliverer struct {
	d        Deps
	o        Options
	rates    *limit.Rates
	gate     *limit.Gate
	breakers *limit.Breakers
	metrics  *metrics
	shows    *shows
}

// New makes a Deliverer and registers its metrics. Close it.
func New(d Deps, o Options) (*Deliverer, error) {
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 12
	}
	if o.ClaimTimeout <= 0 {
		o.ClaimTimeout = 5 * time.Second
	}
	if o.InFlight <= 0 {
		o.InFlight = 20 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.At == nil {
		o.At = func(Step) {}
	}
	v := &Deliverer{d: d, o: o, rates: limit.NewRates(o.RatePerAccount), gate: d.Gate, breakers: limit.NewBreakers(d.Log)}
	if v.gate == nil {
		v.gate = limit.NewGate(o.Now)
	}
	v.shows = newShows()
	var err error
	v.metrics, err = newMetrics(d.Metrics, v.gate)
	return v, err
}

// Close waits for what is being shown beside the messages, a few seconds at most. Deliver is not called any more.
func (v *Deliverer) Close() { v.shows.group.Wait() }

// Deliver carries out an intent, one message after another, and returns what came of each. With an error it returns what
// came of the first ones: worth publishing, but the intent is not done and comes again. Messages that have an outcome
// already are not sent again, and their delivery is the same as before.
func (v *Deliverer) Deliver(ctx context.Context, intent dm.ReplyIntent) ([]dm.Delivery, error) {
	if err := check(&intent); err != nil {
		return nil, bus.Permanent(err)
	}
	intent.Expires = intent.Deadline()
	parts := graph.Expand(intent.Parts)
	of := messages(parts)
	done := make([]dm.Delivery, 0, of)
	broken, gone, mids, actions := "", "", []string(nil), []dm.PartKind(nil)
	for i, part := range parts {
		if i > 0 && stopping(ctx) {
			return done, limit.ErrStopped
		}
		if part.Kind.Action() {
			actions = append(actions, part.Kind)
			continue
		}
		n := len(done)
		if n == 0 && actions == nil {
			actions = v.greeting(&intent)
		}
		part.HumanAgent = false // the sender decides that
		m := &message{intent: &intent, part: part, n: n, of: of, broken: broken, gone: gone, before: mids, actions: actions}
		entry, err := v.message(ctx, m)
		if err != nil {
			return done, fmt.Errorf("deliver message %d of intent %s: %w", n, intent.ID, err)
		}
		v.shown(m)
		actions = nil
		done = append(done, m.delivery(entry))
		if entry.MID != "" {
			mids = append(mids, entry.MID)
		}
		if entry.State == ledger.Held {
			gone = entry.Reason
		}
		if broken == "" && (entry.State == ledger.Failed || entry.State == ledger.Expired) {
			broken = fmt.Sprintf("message %d of %d before it was not sent: %s", n+1, of, entry.Reason)
		}
	}
	if broken == "" && gone == "" && len(actions) > 0 {
		v.parting(ctx, &message{intent: &intent, n: of, of: of, actions: actions})
	}
	return done, nil
}

// messages counts what of an intent is a message.
func messages(parts []dm.Part) int {
	n := 0
	for i := range parts {
		if !parts[i].Kind.Action() {
			n++
		}
	}
	return n
}

// check refuses what no other attempt can make right.
func check(i *dm.ReplyIntent) error {
	var missing []string
	for _, f := range []struct {
		name  string
		empty bool
	}{
		{"id", i.ID == ""}, {"account", i.Account == ""}, {"customer", i.Customer == ""}, {"parts", len(i.Parts) == 0},
	} {
		if f.empty {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("intent %q has no %s", i.ID, strings.Join(missing, ", no "))
	}
	return nil
}

// message is one message of an intent.
type message struct {
	intent *dm.ReplyIntent
	part   dm.Part
	n, of  int
	// broken is why a message before it was not sent, which is why this one is not sent either.
	broken string
	// gone is who had the conversation when a message before it was to be sent: it stays unsent too.
	gone string
	// before are the mids of the messages before it.
	before []string
	// actions are shown to the customer before it.
	actions []dm.PartKind

	account accounts.Account
}

func (m *message) key() string {
	return topology.LedgerKey(m.intent.ID, m.n)
}

// delivery says what the ledger says.
func (m *message) delivery(e ledger.Entry) dm.Delivery {
	outcome := dm.Outcome(e.State)
	part := m.part
	part.HumanAgent = e.HumanAgent
	return dm.Delivery{
		ID: dm.DeliveryID(m.intent.ID, m.n, outcome), IntentID: m.intent.ID, Part: m.n, Of: m.of, Conversation: m.intent.Conversation,
		Outcome: outcome, MID: e.MID, Origin: m.intent.Origin, Message: part, Attempts: e.Attempts, Reason: e.Reason,
		Stop: stopOf(e), SentAt: e.At, ReceivedAt: m.intent.ReceivedAt,
	}
}

// message brings one message to an outcome, or says with an error when to come back.
func (v *Deliverer) message(ctx context.Context, m *message) (ledger.Entry, error) {
	var known bool
	m.account, known = v.d.Accounts.Get(m.intent.Channel, m.intent.Account)
	if state, reason := v.refuse(m, known); reason != "" {
		return v.close(ctx, m, state, reason)
	}
	if reason, err := v.held(ctx, m); err != nil {
		return ledger.Entry{}, bus.WhileAway(err)
	} else if reason != "" {
		return v.close(ctx, m, ledger.Held, reason)
	}
	if err := v.turn(ctx, m); err != nil {
		return ledger.Entry{}, err
	}
	if shown, err := v.greet(ctx, m); err != nil {
		return ledger.Entry{}, err
	} else if shown {
		// What was shown had the turn, and time has passed.
		if err := v.turn(ctx, m); err != nil {
			return ledger.Entry{}, err
		}
	}
	cred := v.credentials(m.account)
	report, err := v.breakers.Allow(cred.BaseURL)
	if err != nil {
		v.metrics.waits.WithLabelValues("breaker").Inc()
		return ledger.Entry{}, bus.DeferUntil(fmt.Errorf("the Graph API does not answer: %w", err), v.until(m, v.o.Now().Add(breakerPoll)))
	}
	claim, err := v.claim(ctx, m)
	if err != nil || !claim.Held() {
		report(limit.ErrNotCalled)
		if err != nil {
			return v.doubtful(ctx, m, err)
		}
		return v.settled(ctx, m, claim.Entry), nil
	}
	return v.call(ctx, m, claim, cred, report)
}

// refuse says why a message is not to be sent at all, if so.
func (v *Deliverer) refuse(m *message, known bool) (ledger.State, string) {
	switch {
	case m.broken != "":
		return ledger.Failed, m.broken
	case m.of > 1 && m.intent.Private():
		return ledger.Failed, "the private reply to a comment is one message, and the intent has " + strconv.Itoa(m.of)
	case !m.intent.Expires.IsZero() && !v.o.Now().Before(m.intent.Expires):
		return ledger.Expired, expired(m.intent)
	case !known:
		return ledger.Failed, "account " + m.intent.Account + " is not configured here: neither INSTAGRAM_PAGE_ID nor ACCOUNTS_FILE names it"
	case m.account.Token == "":
		return ledger.Failed, "account " + m.intent.Account + " has no access token"
	}
	if err := graph.Check(m.part); err != nil {
		return ledger.Failed, err.Error()
	}
	return "", ""
}

// close gives a message an outcome without a call, if it has none.
func (v *Deliverer) close(ctx context.Context, m *message, state ledger.State, reason string) (ledger.Entry, error) {
	claim, err := v.claim(ctx, m)
	if err != nil {
		return v.doubtful(ctx, m, err)
	}
	if !claim.Held() {
		return v.settled(ctx, m, claim.Entry), nil
	}
	entry, err := v.d.Ledger.Settle(ctx, claim, ledger.Entry{State: state, Reason: reason, Tries: claim.Tries, Attempts: claim.Attempts})
	if err != nil {
		return ledger.Entry{}, bus.WhileAway(err)
	}
	v.told(ctx, m, entry, "", nil)
	return entry, nil
}

// settled passes on the outcome that a message had already.
func (v *Deliverer) settled(ctx context.Context, m *message, e ledger.Entry) ledger.Entry {
	v.metrics.claims.WithLabelValues("settled").Inc()
	if e.State == ledger.Unknown {
		v.d.Log.LogAttrs(ctx, slog.LevelError, "delivery.unknown", m.attrs(e, "")...)
	}
	return e
}

// claim claims a message. The stop of the process does not cut it short: a claim that is or is not in the ledger, and
// nobody knows which, is what we want to have least of.
func (v *Deliverer) claim(ctx context.Context, m *message) (*ledger.Claim, error) {
	if err := bus.Owned(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.o.ClaimTimeout)
	defer cancel()
	v.o.At(BeforeClaim)
	claim, err := v.d.Ledger.Claim(ctx, m.key())
	var doubt *ledger.DoubtError
	switch {
	case errors.As(err, &doubt):
		v.metrics.claims.WithLabelValues("in_doubt").Inc()
		return nil, err
	case err != nil:
		v.metrics.claims.WithLabelValues("failed").Inc()
		return nil, bus.WhileAway(err) // the ledger is away, or others write the key: the message is not at fault
	case claim.Held():
		v.o.At(AfterClaim)
		v.metrics.claimed.Inc()
	}
	return claim, nil
}

// Credentials are those that an account's messages are sent with.
func (v *Deliverer) Credentials(a accounts.Account) graph.Credentials { return v.credentials(a) }

func (v *Deliverer) credentials(a accounts.Account) graph.Credentials {
	cred := graph.Credentials{BaseURL: a.GraphURL(v.o.GraphURL), Token: a.Token, AppSecret: a.AppSecret}
	// The proof of an Instagram user token is made with the Instagram app's own secret, which only the account can give.
	if cred.AppSecret == "" && a.Login != accounts.LoginInstagram {
		cred.AppSecret = v.o.AppSecret
	}
	return cred
}

func stopping(ctx context.Context) bool {
	select {
	case <-bus.Draining(ctx):
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}
