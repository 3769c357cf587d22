package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/limit"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
)

// How often a message in doubt is looked for: soon at first, because its echo comes within a second as a rule, then ever
// more rarely. One look takes a handler's place for lookTimeout at most; between looks the message waits in its lane. The
// conversations endpoint, which takes two questions a second, is asked when the echo has had its time.
const (
	minLook     = time.Second
	maxLook     = 15 * time.Second
	lookTimeout = 20 * time.Second
	echoTime    = 4 * time.Second
)

// errInDoubt is why a message waits that may have been sent.
var errInDoubt = errors.New("it may have been sent, and what came of it is being found out")

// doubtful looks once for what came of a message that is in doubt, if that is why it could not be claimed.
func (v *Deliverer) doubtful(ctx context.Context, m *message, err error) (ledger.Entry, error) {
	var doubt *ledger.DoubtError
	if !errors.As(err, &doubt) {
		return ledger.Entry{}, err
	}
	why := doubt.Error()
	if v.d.Reconciler != nil || m.part.Kind.Repeatable() {
		answer, lookErr := v.look(ctx, m, doubt)
		outcome, found := v.found(doubt, answer)
		switch {
		case lookErr != nil:
			why = lookErr.Error()
			if unasked(lookErr) {
				doubt.Prolong()
			}
		case found:
			return v.resolve(ctx, m, doubt, outcome, answer)
		default:
			why = answer.How
		}
	}
	return ledger.Entry{}, bus.DeferUntil(fmt.Errorf("%w: %s", errInDoubt, why), v.nextLook(doubt))
}

// unasked says whether a look failed without a word about the message: Meta was not asked, or refused for the number of the questions.
// The sender that had the account before may have used up its two a second. Who has to hand the account over while it waits for
// its turn to ask, and gets it back, has not asked either.
func unasked(err error) bool {
	return errors.Is(err, reconcile.ErrBusy) || errors.Is(err, reconcile.ErrAway) || errors.Is(err, limit.ErrStopped) || graph.ClassOf(err) == graph.ClassRateLimited
}

// byNature is how it is found out that what may be done twice may be done again.
const byNature = "nature"

// look asks the reconciler.
func (v *Deliverer) look(ctx context.Context, m *message, d *ledger.DoubtError) (reconcile.Answer, error) {
	if m.part.Kind.Repeatable() {
		return reconcile.Answer{Fate: reconcile.Absent, How: byNature}, nil
	}
	lookCtx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return v.d.Reconciler.Look(lookCtx, reconcile.Question{
		Conversation: m.intent.Conversation, Part: m.part, Since: d.Since, Answers: m.intent.EventID, Taken: m.before,
		Ask: m.account.Token != "" && v.o.Now().Sub(d.Seen) >= echoTime, Credentials: v.credentials(m.account),
		Stop: bus.Draining(ctx),
	})
}

// found says what an answer makes of a message. It is pure but for the clock: what is not there may be sent again only when
// no call can be under way any more, and never when Meta said that it was sent.
func (v *Deliverer) found(d *ledger.DoubtError, a reconcile.Answer) (ledger.Entry, bool) {
	out := ledger.Entry{HumanAgent: d.Entry.HumanAgent, Tries: d.Entry.Tries, Attempts: d.Entry.Attempts}
	if d.Entry.State == ledger.Claimed {
		out.Tries++ // whoever claimed it ended before it could say so
	}
	switch {
	case a.Fate == reconcile.Sent:
		out.State, out.MID = ledger.Sent, a.MID
	case a.Fate != reconcile.Absent, d.Entry.SentAnyway, v.o.Now().Sub(d.Seen) < v.o.InFlight:
		return ledger.Entry{}, false
	case out.Tries >= v.o.MaxAttempts:
		out.State = ledger.Failed
		out.Reason = fmt.Sprintf("given up after %d attempts, none of which reached the customer: %s", out.Tries, d.Error())
	default:
		out.State = ledger.Open
	}
	return out, true
}

// resolve writes what was found out.
func (v *Deliverer) resolve(ctx context.Context, m *message, d *ledger.DoubtError, outcome ledger.Entry, a reconcile.Answer) (ledger.Entry, error) {
	if err := bus.Owned(ctx); err != nil {
		return ledger.Entry{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.o.ClaimTimeout)
	defer cancel()
	entry, err := v.d.Ledger.Resolve(ctx, d, outcome)
	switch {
	case errors.Is(err, bus.ErrWrongRevision):
		return ledger.Entry{}, bus.DeferUntil(err, v.o.Now()) // whoever wrote it knows better
	case err != nil:
		return ledger.Entry{}, bus.WhileAway(err)
	}
	v.metrics.reconciled.WithLabelValues(string(entry.State), a.How).Inc()
	v.d.Log.LogAttrs(ctx, slog.LevelWarn, "delivery.reconciled", append(m.attrs(entry, ""), slog.String("by", a.How))...)
	if !entry.State.Final() {
		return ledger.Entry{}, bus.DeferUntil(fmt.Errorf("%w: it was not sent", errInDoubt), v.o.Now())
	}
	return entry, nil
}

// nextLook is when to look again: not later than when the call cannot arrive any more, nor than when the message is given up.
func (v *Deliverer) nextLook(d *ledger.DoubtError) time.Time {
	now := v.o.Now()
	at := now.Add(min(max(now.Sub(d.Seen), minLook), maxLook))
	for _, limit := range [...]time.Time{d.Seen.Add(v.o.InFlight), d.Until} {
		if now.Before(limit) && at.After(limit) {
			at = limit
		}
	}
	return at
}
