package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// maxRecorded bounds the attempts that a message's record keeps; the newest ones.
const maxRecorded = 20

// call makes the one call that a claim allows and writes what came of it. From here on the end of ctx stops nothing: a
// claim without an outcome is a message that a person has to look after.
func (v *Deliverer) call(ctx context.Context, m *message, claim *ledger.Claim, cred graph.Credentials, report func(error)) (ledger.Entry, error) {
	if err := v.stale(ctx, m, claim); err != nil {
		report(limit.ErrNotCalled)
		return ledger.Entry{}, err
	}
	began := v.o.Now()
	part := m.part
	part.HumanAgent = v.tagged(m, claim.Entry)
	result, sendErr := v.d.Graph.Send(context.WithoutCancel(ctx), cred, m.intent.Customer, part)
	took := v.o.Now().Sub(began)
	report(sendErr)
	v.o.At(AfterCall)

	outcome := v.judge(m, part.HumanAgent, claim.Entry, result, sendErr)
	outcome.Attempts = record(claim.Attempts, attempt(began, took, sendErr))
	entry, err := v.d.Ledger.Settle(ctx, claim, outcome)
	if err == nil {
		v.o.At(AfterOutcome)
	}
	class := classOf(sendErr)
	v.metrics.sent(string(outcome.State), class, took)
	v.told(ctx, m, outcome, class, sendErr)
	back := v.react(ctx, m, result, sendErr)
	switch {
	case err != nil:
		return ledger.Entry{}, bus.WhileAway(err)
	case entry.State == ledger.Open && back == nil:
		return ledger.Entry{}, bus.DeferUntil(sendErr, v.o.Now()) // at once, and otherwise
	case entry.State == ledger.Open:
		return ledger.Entry{}, back
	case !entry.State.Final(): // in doubt, or somebody else's by now
		return ledger.Entry{}, bus.DeferUntil(fmt.Errorf("%w: %s", errInDoubt, outcome.Reason), v.o.Now().Add(minLook))
	default:
		return entry, nil
	}
}

// errStale is a claim that is too old to be used.
var errStale = errors.New("the process stood still between claim and call")

// stale gives a claim back whose process stood still since: others may be about to find that nothing was sent.
func (v *Deliverer) stale(ctx context.Context, m *message, claim *ledger.Claim) error {
	if v.o.Now().Sub(claim.At) <= v.o.ClaimTimeout+time.Second {
		return nil
	}
	entry, err := v.d.Ledger.Settle(ctx, claim, ledger.Entry{State: ledger.Open, Tries: claim.Tries, Attempts: claim.Attempts})
	if err == nil {
		v.told(ctx, m, entry, "", errStale)
	}
	return bus.WhileAway(errors.Join(errStale, err))
}

// judge says what a call's result means for the message, which went with the HUMAN_AGENT tag or without. It is pure.
func (v *Deliverer) judge(m *message, tagged bool, before ledger.Entry, result graph.SendResult, err error) ledger.Entry {
	if err == nil {
		return ledger.Entry{State: ledger.Sent, MID: result.MessageID, HumanAgent: tagged, Tries: before.Tries + 1}
	}
	out := ledger.Entry{State: ledger.Failed, Reason: err.Error(), HumanAgent: tagged, Tries: before.Tries}
	var e *graph.Error
	if !errors.As(err, &e) {
		return out // never called: a part that cannot be sent
	}
	if !e.Unreachable {
		out.Tries++
	}
	switch e.Class {
	case graph.ClassUnknown, graph.ClassSentAnyway:
		v.judgeDoubt(m, e, &out)
	case graph.ClassRateLimited, graph.ClassTokenDead, graph.ClassAccountBlocked:
		// The account's trouble, not the message's: it waits, and this counts as no try.
		out.State, out.Tries = ledger.Open, before.Tries
	case graph.ClassTransient:
		v.judgeAgain(e, &out)
	default:
		if e.Window {
			out.State = ledger.Expired
			if m.intent.Origin == dm.OriginOperator && m.part.CommentID == "" && !tagged {
				out.State = ledger.Open // a person may go on with the tag
			}
		}
	}
	return out
}

// judgeDoubt: nobody knows whether it was sent, or as what. What may be done twice is simply done again.
func (v *Deliverer) judgeDoubt(m *message, e *graph.Error, out *ledger.Entry) {
	switch {
	case !m.part.Kind.Repeatable():
		out.State, out.SentAnyway = ledger.InDoubt, e.Class == graph.ClassSentAnyway
	case e.Class == graph.ClassSentAnyway:
		out.State, out.Reason = ledger.Sent, ""
	default:
		v.judgeAgain(e, out)
	}
}

// judgeAgain tries again, as often as the rule and the options allow.
func (v *Deliverer) judgeAgain(e *graph.Error, out *ledger.Entry) {
	bound := v.o.MaxAttempts
	if e.MaxAttempts > 0 {
		bound = min(bound, e.MaxAttempts)
	}
	if out.Tries < bound || e.Unreachable {
		out.State = ledger.Open
		return
	}
	out.Reason = fmt.Sprintf("given up after %d attempts: %s", out.Tries, out.Reason)
}

// react does what an answer asks for beyond its message, and says with an error when the message may come back.
func (v *Deliverer) react(ctx context.Context, m *message, result graph.SendResult, err error) error {
	if err == nil {
		v.flowing(ctx, m, result.Usage)
		return nil
	}
	var e *graph.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Class {
	case graph.ClassRateLimited, graph.ClassTokenDead, graph.ClassAccountBlocked:
		return bus.DeferUntil(fmt.Errorf("%w: %w", limit.ErrPaused, err), v.until(m, v.pause(ctx, m, e)))
	case graph.ClassTransient:
		if e.RetryAfter > 0 {
			return bus.DeferUntil(err, v.until(m, v.o.Now().Add(e.RetryAfter)))
		}
		return bus.WhileAway(err) // with growing delays; the ledger counts the tries
	case graph.ClassUnknown:
		if m.part.Kind.Repeatable() {
			return bus.WhileAway(err)
		}
		return nil
	default:
		return nil
	}
}

func classOf(err error) string {
	if err == nil {
		return "ok"
	}
	return graph.ClassOf(err).String()
}

func attempt(began time.Time, took time.Duration, err error) dm.Attempt {
	a := dm.Attempt{At: began.UTC(), DurationMS: took.Milliseconds()}
	if err == nil {
		a.Status = 200
		return a
	}
	a.Error = err.Error()
	var e *graph.Error
	if errors.As(err, &e) {
		a.Status, a.Code, a.Subcode, a.TraceID = e.Status, e.Code, e.Subcode, e.TraceID
	}
	return a
}

// record adds an attempt without touching what others may hold.
func record(before []dm.Attempt, a dm.Attempt) []dm.Attempt {
	if len(before) >= maxRecorded {
		before = before[len(before)-maxRecorded+1:]
	}
	return append(before[:len(before):len(before)], a)
}
