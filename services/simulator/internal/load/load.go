// Package load plays many customers at once and judges what they received.
//
// Messages of one customer are sent in order; their texts take turns through keywords that rules answer distinctly (see
// [Rules]), so that a reply out of order can be told from one in order.
package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/play"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Options say how much load.
type Options struct {
	// Account is the one that is written to; the first if empty. Accounts spreads the customers over so many instead.
	Account  string `json:"account,omitempty"`
	Accounts int    `json:"accounts,omitempty"`
	// Apart are accounts that are judged by themselves, beside all the others together.
	Apart []string `json:"apart,omitempty"`
	// Customers write Messages each; 0 means as many as fit into For, or 10 without For.
	Customers int `json:"customers"`
	Messages  int `json:"messages,omitempty"`
	// Rate is webhooks a second over all customers; 0 is as fast as they are taken.
	Rate float64 `json:"rate,omitempty"`
	// For ends the sending after a while.
	For Duration `json:"for,omitempty"`
	// Settle is how long nothing may happen before what is missing is taken for lost.
	Settle Duration `json:"settle,omitempty"`
	// Linger is how long to wait for replies too many when everything is answered.
	Linger Duration `json:"linger,omitempty"`
	// Pairs are the messages and the replies that they must get. Without pairs any reply will do, and order is not judged.
	Pairs []Pair `json:"pairs,omitempty"`
	// InFlight bounds the webhooks that wait to be accepted.
	InFlight int `json:"in_flight,omitempty"`
}

// Pair is a message and the reply it must get.
type Pair struct {
	Say    string `json:"say"`
	Expect string `json:"expect"`
}

const (
	defaultCustomers = 100
	defaultMessages  = 10
	maxCustomers     = 100_000
	defaultInFlight  = 512
	defaultSettle    = 15 * time.Second
	defaultLinger    = time.Second
	// tick is how often progress is looked at.
	tick = 50 * time.Millisecond
)

func (o *Options) setDefaults() {
	if o.Customers == 0 {
		o.Customers = defaultCustomers
	}
	if o.Messages == 0 && o.For == 0 {
		o.Messages = defaultMessages
	}
	if o.Settle == 0 {
		o.Settle = Duration(defaultSettle)
	}
	if o.Linger == 0 {
		o.Linger = Duration(defaultLinger)
	}
	if o.InFlight == 0 {
		o.InFlight = defaultInFlight
	}
}

func (o *Options) prepare() error {
	o.setDefaults()
	var errs []error
	if o.Customers < 1 || o.Customers > maxCustomers {
		errs = append(errs, fmt.Errorf("customers: got %d, expected 1 to %d", o.Customers, maxCustomers))
	}
	if o.Accounts < 0 || o.Accounts > 1 && o.Account != "" {
		errs = append(errs, errors.New("accounts: expected 0 or more, and no account beside it"))
	}
	if o.Messages < 0 || o.Rate < 0 || o.For < 0 || o.Settle < 0 || o.Linger < 0 || o.InFlight < 0 {
		errs = append(errs, errors.New("messages, rate, for, settle, linger, in_flight: expected 0 or more"))
	}
	for _, p := range o.Pairs {
		if p.Say == "" || p.Expect == "" {
			errs = append(errs, errors.New("pairs: expected both what is said and what must come"))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", play.ErrAction, errors.Join(errs...))
	}
	return nil
}

// total is how many messages there will be; 0 when only the time decides.
func (o *Options) total() int { return o.Customers * o.Messages }

// Deps is what load is made with.
type Deps struct {
	World    *world.World
	Player   *play.Player
	Webhooks *webhooks.Sender
}

// Phase says what a run does now.
type Phase string

// The phases of a run.
const (
	PhaseSending  Phase = "sending"
	PhaseSettling Phase = "settling"
	PhaseDone     Phase = "done"
)

// Progress is how far a run has come.
type Progress struct {
	Phase Phase `json:"phase"`
	// Total is 0 when only the time decides.
	Total    int      `json:"total"`
	Sent     int      `json:"sent"`
	Accepted int      `json:"accepted"`
	Replies  int      `json:"replies"`
	Refused  int      `json:"refused"`
	Elapsed  Duration `json:"elapsed"`
	For      Duration `json:"for,omitempty"`
}

// Result is what came of a run.
type Result struct {
	Summary
	// Sending is how long the messages took to send, Took the time until the last reply (0 when none came).
	Sending Duration `json:"sending"`
	Took    Duration `json:"took"`
	// Refused counts answers to webhooks that were not 200.
	Refused int `json:"refused"`
	// Accounts are the verdicts by account, where there are several; Apart and Others those of the accounts that were asked for
	// by themselves, and of the rest.
	Accounts []AccountSummary `json:"accounts,omitempty"`
	Apart    *Summary         `json:"apart,omitempty"`
	Others   *Summary         `json:"others,omitempty"`
}

// Run makes the load and judges it. progress is called a few times a second. It ends early when ctx does, with the verdict
// over what was sent until then.
func Run(ctx context.Context, d Deps, o Options, progress func(Progress)) (Result, error) {
	if err := o.prepare(); err != nil {
		return Result{}, err
	}
	accounts, err := o.accounts(d.World)
	if err != nil {
		return Result{}, err
	}
	r := &runner{deps: d, opts: o, accounts: accounts, prefix: newPrefix(), before: d.World.Totals(), start: time.Now(), progress: progress}
	sendErr := r.send(ctx)
	sending := time.Since(r.start)
	r.settle(ctx)
	v := d.World.Verdict(world.Scope{Prefix: r.prefix})
	r.tell(PhaseDone)
	result := Result{
		Summary: Report(v), Sending: Duration(sending), Took: Duration(max(v.Last.Sub(r.start), 0)), Refused: r.now().Refused,
	}
	if len(accounts) > 1 {
		records := d.World.Record(world.Scope{Prefix: r.prefix})
		result.Accounts = ByAccount(d.World, records)
		result.Apart, result.Others = apart(records, o.Apart)
	}
	result.Good = result.Good && sendErr == nil && v.Sent > 0
	return result, sendErr
}

// accounts are those that are written to.
func (o *Options) accounts(w *world.World) ([]string, error) {
	if o.Accounts < 2 {
		account, err := w.Account(o.Account)
		return []string{account.ID}, err
	}
	all := w.Accounts()
	if o.Accounts > len(all) {
		return nil, fmt.Errorf("%w: accounts: got %d, the simulator has %d (SIMULATOR_ACCOUNTS, SIMULATOR_ACCOUNT_COUNT)", play.ErrAction, o.Accounts, len(all))
	}
	ids := make([]string, o.Accounts)
	for i := range ids {
		ids[i] = all[i].ID
	}
	for _, id := range o.Apart {
		if !slices.Contains(ids, id) {
			return nil, fmt.Errorf("%w: apart: account %q is not written to", play.ErrAction, id)
		}
	}
	return ids, nil
}

type runner struct {
	deps     Deps
	opts     Options
	accounts []string
	prefix   string
	before   world.Totals
	start    time.Time
	progress func(Progress)
	told     time.Time
	sent     int
}

// newPrefix begins the ids of a run's customers, so that its verdict is about them only.
func newPrefix() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1e9))
	if err != nil {
		n = big.NewInt(time.Now().UnixNano() % 1e9) // crypto/rand does not fail since Go 1.24
	}
	return fmt.Sprintf("9%09d", n)
}

func (r *runner) customer(i int) string { return fmt.Sprintf("%s%06d", r.prefix, i) }

// send sends all messages, one from each customer in turn.
func (r *runner) send(ctx context.Context) error {
	for round := 0; r.opts.Messages == 0 || round < r.opts.Messages; round++ {
		for c := range r.opts.Customers {
			if !r.turn(ctx) {
				return nil
			}
			a := play.Action{Key: world.Key{Account: r.accounts[c%len(r.accounts)], Customer: r.customer(c)}, Text: fmt.Sprintf("message %d", round+1)}
			if n := len(r.opts.Pairs); n > 0 {
				a.Text, a.Expect = r.opts.Pairs[round%n].Say, r.opts.Pairs[round%n].Expect
			}
			if _, err := r.deps.Player.Say(a); err != nil {
				return fmt.Errorf("message %d: %w", r.sent+1, err)
			}
			r.sent++
		}
	}
	return nil
}

// turn waits until the next message may be sent; false when there shall be no more.
func (r *runner) turn(ctx context.Context) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		elapsed := time.Since(r.start)
		if r.opts.For > 0 && elapsed >= time.Duration(r.opts.For) {
			return false
		}
		r.tellSometimes(PhaseSending)
		wait := time.Millisecond
		if r.deps.Webhooks.Waiting() < r.opts.InFlight {
			if wait = r.due() - elapsed; wait <= 0 {
				return true
			}
		}
		pause(ctx, min(wait, tick))
	}
}

// due is when the next message is due after the start.
func (r *runner) due() time.Duration {
	if r.opts.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(r.sent) / r.opts.Rate * float64(time.Second))
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// settle waits until every message is answered and a little longer, or until nothing happens any more. It goes by totals,
// which others' messages are in too; the verdict does not.
func (r *runner) settle(ctx context.Context) {
	seen, last := r.now(), time.Now()
	for ctx.Err() == nil {
		patience := time.Duration(r.opts.Settle)
		if seen.Accepted >= seen.Sent && seen.Replies >= seen.Sent {
			patience = time.Duration(r.opts.Linger)
		}
		if time.Since(last) >= patience {
			return
		}
		pause(ctx, tick)
		if now := r.now(); now.Accepted != seen.Accepted || now.Replies != seen.Replies {
			seen, last = now, time.Now()
		}
		r.tellSometimes(PhaseSettling)
	}
}

func (r *runner) now() world.Totals {
	t := r.deps.World.Totals()
	t.Sent, t.Accepted = t.Sent-r.before.Sent, t.Accepted-r.before.Accepted
	t.Replies, t.Refused = t.Replies-r.before.Replies, t.Refused-r.before.Refused
	return t
}

func (r *runner) tellSometimes(p Phase) {
	if time.Since(r.told) >= 4*tick {
		r.tell(p)
	}
}

func (r *runner) tell(p Phase) {
	r.told = time.Now()
	if r.progress == nil {
		return
	}
	t := r.now()
	r.progress(Progress{
		Phase: p, Total: r.opts.total(), Sent: t.Sent, Accepted: t.Accepted, Replies: t.Replies, Refused: t.Refused,
		Elapsed: Duration(time.Since(r.start)), For: r.opts.For,
	})
}
