package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
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

// errPaused is why a message waits.
var errPaused = errors.New("sending is paused")

// turn returns when a message may be sent as far as rates and pauses go.
func (v *Deliverer) turn(ctx context.Context, m *message) error {
	for _, k := range [...]limit.Key{accountKey(m), appKey(m)} {
		if until, reason := v.gate.Closed(k, m.account.Token); !until.IsZero() {
			v.metrics.waits.WithLabelValues("paused").Inc()
			return bus.DeferUntil(fmt.Errorf("%w for %s %s: %s", errPaused, k.Kind, k.ID, reason), v.until(m, until))
		}
	}
	waited, err := v.rates.Wait(ctx, m.intent.Account, bus.Draining(ctx))
	if waited {
		v.metrics.rateWaits.Inc()
	}
	return err
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
	if e.Class == graph.ClassTokenDead {
		why.Token = m.account.Token
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
	}
	return until
}

// flowing notes a success: it ends pauses, and begins one before Meta would have to.
func (v *Deliverer) flowing(ctx context.Context, m *message, u graph.Usage) {
	for _, k := range [...]limit.Key{accountKey(m), appKey(m)} {
		if v.gate.Open(k) {
			v.d.Log.InfoContext(ctx, "account.resumed", telemetry.KeyAccount, m.intent.Account, "scope", k.Kind)
		}
	}
	if u.Business >= 100 || u.App >= 100 {
		scope := graph.ScopeAccount
		if u.Business < 100 {
			scope = graph.ScopeApp
		}
		v.pause(ctx, m, &graph.Error{Message: "the allowance is used up", RetryAfter: u.Regain,
			Rule: graph.Rule{Class: graph.ClassRateLimited, Scope: scope, Pause: time.Minute}})
	}
}

func accountKey(m *message) limit.Key { return limit.Account(m.intent.Account) }

func appKey(m *message) limit.Key { return limit.App(string(m.account.Login)) }
