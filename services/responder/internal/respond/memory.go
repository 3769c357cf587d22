package respond

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/state"
)

// State is what is remembered of conversations.
type State interface {
	Get(ctx context.Context, c dm.Conversation) (*state.Record, error)
	Add(ctx context.Context, c dm.Conversation, e state.Entry) error
	Decided(ctx context.Context, c dm.Conversation, seen *state.Record, e state.Entry) error
}

// Archive knows conversations of which nothing is remembered.
type Archive interface {
	// Before says whether a customer wrote, and was answered, before an event of theirs.
	Before(ctx context.Context, e *dm.Event) (wrote, answered bool, err error)
}

// archiveTimeout bounds what is asked of the archive: while it is away, nobody waits for it.
const archiveTimeout = 2 * time.Second

// errNoState is an installation that needs to remember and cannot.
var errNoState = errors.New("there is nowhere to remember conversations")

// memory is what is known of a conversation at an event.
type memory struct {
	view state.View
	// record is what view is of.
	record *state.Record
	// own is what the event has changed already, when it comes again.
	own   state.Entry
	again bool
	// loaded: view is what there is, and not only empty.
	loaded bool
	// first and returning are what the customer is to rules.
	first, returning bool
	// entry is what the event changes.
	entry state.Entry
}

// recall reads what is remembered, once.
func (r *Responder) recall(ctx context.Context, t *Turn, m *memory) error {
	if m.loaded {
		return nil
	}
	if r.deps.State == nil {
		return errNoState
	}
	record, err := r.deps.State.Get(ctx, t.Event.Conversation)
	if err != nil {
		return err
	}
	m.record, m.view, m.loaded = record, record.Before(t.Event.ID), true
	if m.own, m.again = record.Entry(t.Event.ID); m.again {
		t.Now = m.own.At // decided again as it was: cool-downs and hours are measured by it
	}
	return nil
}

// acquaint finds out whether the customer is new. Where nothing is remembered the archive is asked, because the conversation may be
// older than the wish to know. While that is away the customer is neither new nor returning.
func (r *Responder) acquaint(ctx context.Context, t *Turn, m *memory) {
	m.returning = m.view.Answered()
	if m.view.Contacted() || !t.Event.FromCustomer() {
		return
	}
	if m.again && !m.own.Contact.IsZero() {
		m.first, m.returning = !m.own.Known, m.returning || m.own.Answered
		m.entry.Contact, m.entry.Known, m.entry.Answered = m.own.Contact, m.own.Known, m.own.Answered
		return
	}
	var wrote, answered bool
	if r.deps.Archive != nil {
		ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
		defer cancel()
		var err error
		if wrote, answered, err = r.deps.Archive.Before(ctx, &t.Event); err != nil {
			r.deps.Telemetry.Log.WarnContext(ctx, "customer.unknown", telemetry.KeyEvent, t.Event.ID, telemetry.KeyError, err)
			return
		}
	}
	m.first, m.returning = !wrote, m.returning || answered
	m.entry.Contact, m.entry.Known, m.entry.Answered = eventTime(*t), wrote, answered
}

// keep remembers what the event changed, before anything of it is published: then whoever decides it again decides it as it was. It
// fails where somebody else has changed the record since it was read: the decision may be wrong then.
func (r *Responder) keep(ctx context.Context, t *Turn, m *memory) error {
	if m.entry.Empty() {
		return nil
	}
	if err := r.recall(ctx, t, m); err != nil || m.again {
		return err
	}
	m.entry.Event, m.entry.At = t.Event.ID, t.Now
	return r.deps.State.Decided(ctx, t.Event.Conversation, m.record, m.entry)
}

// heard takes what Parley itself tells of a conversation.
func (r *Responder) heard(ctx context.Context, e *dm.Event) error {
	entry := state.Entry{Event: e.ID}
	switch {
	case r.deps.State == nil || e.Customer == "":
		return nil
	case e.Kind == dm.KindLabel && e.Labels != nil:
		record, err := r.deps.State.Get(ctx, e.Conversation)
		if err != nil {
			return err
		}
		has := record.Before(e.ID).Labels()
		if !slices.ContainsFunc(e.Labels.Added, func(l string) bool { return !slices.Contains(has, l) }) &&
			!slices.ContainsFunc(e.Labels.Removed, func(l string) bool { return slices.Contains(has, l) }) {
			return nil // it is so already
		}
		entry.At, entry.Added, entry.Removed = e.Labels.At, e.Labels.Added, e.Labels.Removed
	case e.Kind == dm.KindHold && e.Hold != nil && e.Hold.Holder == dm.HolderPerson && r.opts.Disclosure != "" && e.Hold.Reason != dm.HoldLoop && e.Hold.Reason != dm.HoldTooMany:
		entry.At, entry.Person = e.Hold.At, true
	default:
		return nil
	}
	return r.deps.State.Add(ctx, e.Conversation, entry)
}
