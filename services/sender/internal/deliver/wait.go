package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// How long a message that waits sleeps at most before it looks again: a new token, or somebody who has seen to a block, is
// noticed that soon.
const (
	pausePoll   = 15 * time.Second
	breakerPoll = 2 * time.Second
)

// A rate limit without a time begins with a short pause, since it may be a moment's, and doubles it up to mostRatePause.
const (
	firstRatePause = 5 * time.Second
	mostRatePause  = 10 * time.Minute
)

// Pauses hears of pauses as they begin and end, and of how much of what Meta allows is used up: percent, and the share of its
// full rate at which the account sends for that.
type Pauses interface {
	Paused(k limit.Key, p Pause)
	Resumed(k limit.Key, channel dm.Channel)
	Used(channel dm.Channel, account string, percent int, rate float64)
}

// Pause is what there is to say of a pause.
type Pause struct {
	Channel dm.Channel
	// Account is the one whose message met it.
	Account string
	Err     *graph.Error
	Until   time.Time
	Pause   limit.Pause
}

// turn returns when a message may be sent as far as rates and pauses go.
func (v *Deliverer) turn(ctx context.Context, m *message) error {
	for _, k := range [...]limit.Key{accountKey(m), appKey(m)} {
		verdict := v.gate.Closed(k, m.account.Token)
		if verdict.Renewed {
			v.resumed(ctx, m, k)
		}
		if !verdict.Until.IsZero() {
			v.metrics.waits.WithLabelValues("paused").Inc()
			return bus.DeferUntil(fmt.Errorf("%w for %s %s: %s", limit.ErrPaused, k.Kind, k.ID, verdict.Reason), v.until(m, verdict.Until))
		}
	}
	waited, err := v.rates.Wait(ctx, m.intent.Account, kindOf(m.part), bus.Draining(ctx))
	if waited {
		v.metrics.rateWaits.Inc()
	}
	var turn *limit.TurnError
	if errors.As(err, &turn) {
		return bus.DeferUntil(err, v.until(m, turn.At))
	}
	return err
}

// kindOf says which of the account's rates holds for a part.
func kindOf(p dm.Part) limit.Kind {
	switch {
	case p.CommentID != "":
		return limit.PrivateReplies
	case p.Kind == dm.PartAudio, p.Kind == dm.PartVideo:
		return limit.Media
	default:
		return limit.Texts
	}
}

// until is when a message that waits for at looks again: not after its window has closed, and not too late to see a change.
func (v *Deliverer) until(m *message, at time.Time) time.Time {
	if poll := v.o.Now().Add(pausePoll); at.After(poll) {
		at = poll
	}
	if e := m.intent.Expires; !e.IsZero() && at.After(e) {
		at = e
	}
	return at
}

// pause closes the gate for whatever an error is about, and says until when.
func (v *Deliverer) pause(ctx context.Context, m *message, e *graph.Error) time.Time {
	k := accountKey(m)
	if e.Scope == graph.ScopeApp {
		k = appKey(m)
	}
	why := limit.Pause{Reason: e.Error(), For: e.Wait(), Exact: e.RetryAfter > 0}
	switch {
	case e.Class == graph.ClassTokenDead:
		why.Token = m.account.Token
	case e.Class == graph.ClassRateLimited && !why.Exact:
		why.For, why.Most = min(firstRatePause, e.Pause), mostRatePause
	}
	until, news := v.gate.Pause(k, why)
	if news {
		v.metrics.pauses.WithLabelValues(k.Kind, e.Class.String()).Inc()
		log := v.d.Log.ErrorContext
		if e.Class == graph.ClassRateLimited && !e.Alert {
			log = v.d.Log.WarnContext
		}
		log(ctx, "account.paused", telemetry.KeyAccount, m.intent.Account, "scope", k.Kind, "class", e.Class.String(),
			"until", until.UTC().Format(time.RFC3339), "reason", why.Reason)
		if v.d.Pauses != nil {
			v.d.Pauses.Paused(k, Pause{Channel: m.intent.Channel, Account: m.intent.Account, Err: e, Until: until, Pause: why})
		}
	}
	return until
}

// flowing notes a success: it ends pauses, slows an account down that has used most of what Meta allows, and pauses one
// before Meta would have to.
func (v *Deliverer) flowing(ctx context.Context, m *message, u graph.Usage) {
	for _, k := range [...]limit.Key{accountKey(m), appKey(m)} {
		if v.gate.Open(k) {
			v.resumed(ctx, m, k)
		}
	}
	v.used(ctx, m, u)
	if u.Business >= 100 || u.App >= 100 {
		scope := graph.ScopeAccount
		if u.Business < 100 {
			scope = graph.ScopeApp
		}
		v.pause(ctx, m, &graph.Error{Message: "the allowance is used up", RetryAfter: max(u.Regain, time.Minute),
			Rule: graph.Rule{Class: graph.ClassRateLimited, Scope: scope}})
	}
}

// used sets the account's rates by how much of its allowance, and of its app's, is used up.
func (v *Deliverer) used(ctx context.Context, m *message, u graph.Usage) {
	percent := max(u.Business, u.App)
	factor, news := v.rates.Used(m.intent.Account, percent)
	if v.d.Pauses != nil {
		v.d.Pauses.Used(m.intent.Channel, m.intent.Account, percent, factor)
	}
	if !news {
		return
	}
	if factor < 1 {
		v.d.Log.WarnContext(ctx, "account.slowed", telemetry.KeyAccount, m.intent.Account, "used_percent", percent, "rate_factor", factor)
	} else {
		v.d.Log.InfoContext(ctx, "account.at_full_rate", telemetry.KeyAccount, m.intent.Account, "used_percent", percent)
	}
}

func (v *Deliverer) resumed(ctx context.Context, m *message, k limit.Key) {
	v.d.Log.InfoContext(ctx, "account.resumed", telemetry.KeyAccount, m.intent.Account, "scope", k.Kind)
	if v.d.Pauses != nil {
		v.d.Pauses.Resumed(k, m.intent.Channel)
	}
}

func accountKey(m *message) limit.Key { return limit.Account(m.intent.Account) }

func appKey(m *message) limit.Key { return limit.App(string(m.account.Login)) }
