// Package desk is what people of the business, and scripts for them, do with a conversation that the rest of Parley must know:
// write to the customer, take the conversation over, give it back, label it.
//
// It tells the bus, as any stage does, and the audit log. Who may do it is its callers' to check, and what the desk alone knows
// (who it is assigned to, whether it is closed) is the store's. While the bus is away nothing can be done: [ops.ErrAway].
package desk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// Desk is safe for concurrent use.
type Desk struct {
	pipeline *pipeline.Pipeline
	store    *store.Store
	holds    atomic.Pointer[holds.Holds] // nil until the bus is there
	now      func() time.Time
}

// New makes a desk. [Desk.Run] must run.
func New(p *pipeline.Pipeline, s *store.Store, now func() time.Time) *Desk {
	return &Desk{pipeline: p, store: s, now: now}
}

// Person is who does something, for the audit log and by the name that colleagues read.
type Person struct {
	store.Actor
	Called string
}

// Conversation is a conversation by its row's id and as the bus names it.
type Conversation struct {
	ID string
	dm.Conversation
}

// Run keeps a copy of who holds which conversation, until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	if err := d.pipeline.Join(ctx); err != nil {
		return err
	}
	bucket, err := d.pipeline.Bucket(ctx, topology.Conversations)
	if err != nil {
		return err
	}
	h := holds.New(bucket, holds.Options{Now: d.now, Log: d.pipeline.Telemetry().Log})
	d.holds.Store(h)
	return h.Run(ctx)
}

func (d *Desk) ready() (*holds.Holds, error) {
	h := d.holds.Load()
	if h == nil || !d.pipeline.Joined() {
		return nil, ops.ErrAway
	}
	return h, nil
}

// Holder says who else than the bot has a conversation now.
func (d *Desk) Holder(ctx context.Context, c dm.Conversation) (h dm.Hold, held bool, err error) {
	all, err := d.ready()
	if err != nil {
		return dm.Hold{}, false, err
	}
	return all.Holder(ctx, c, time.Time{})
}

// errEnough ends a list.
var errEnough = errors.New("enough")

// Held lists the conversations that somebody else than the bot has, at most so many.
func (d *Desk) Held(ctx context.Context, most int) (held []dm.Conversation, err error) {
	all, err := d.ready()
	if err != nil {
		return nil, err
	}
	err = all.List(ctx, func(r holds.Record) error {
		if _, ok := r.At(d.now()); !ok {
			return nil
		}
		c, err := dm.ParseConversation(r.Conversation)
		if err != nil {
			return err
		}
		if len(held) == most {
			return errEnough
		}
		held = append(held, c)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return held, err
}

// Take takes a conversation from the bot until a time; with a zero time, until it is given back.
func (d *Desk) Take(ctx context.Context, by Person, c Conversation, until time.Time) error {
	if err := d.change(ctx, c, dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldOperator, By: by.Called, Until: until}); err != nil {
		return err
	}
	return d.audit(ctx, by, c, "conversation.taken_over")
}

// HandBack gives a conversation back to the bot, whoever has it.
func (d *Desk) HandBack(ctx context.Context, by Person, c Conversation) error {
	if err := d.change(ctx, c, dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, By: by.Called}); err != nil {
		return err
	}
	return d.audit(ctx, by, c, "conversation.handed_back")
}

func (d *Desk) change(ctx context.Context, c Conversation, h dm.Hold) error {
	all, err := d.ready()
	if err != nil {
		return err
	}
	h.At = d.now()
	h.Cause = "operator-" + strconv.FormatInt(h.At.UnixNano(), 36)
	change, err := all.Change(ctx, c.Conversation, h)
	if err != nil || change.Event == nil {
		return away(err)
	}
	if err := d.pipeline.Publish(ctx, d.pipeline.Event(*change.Event, h.Cause)); err != nil {
		return away(fmt.Errorf("tell that %s changed hands, which it did: %w", c.Conversation, err))
	}
	return nil
}

func (d *Desk) audit(ctx context.Context, by Person, c Conversation, action string) error {
	return d.store.Audit(ctx, by.Actor, store.Change{Action: action, Target: "conversation:" + c.ID})
}

// away is the bus's absence where an error comes of that.
func away(err error) error {
	if errors.Is(err, bus.ErrUnavailable) {
		return errors.Join(ops.ErrAway, err)
	}
	return err
}

// Label puts labels on a conversation or takes them off.
func (d *Desk) Label(ctx context.Context, by Person, c Conversation, l dm.Labels) error {
	if _, err := d.ready(); err != nil {
		return err
	}
	l.By, l.At = by.Called, d.now().UTC().Truncate(time.Microsecond)
	e := dm.Event{
		ID:           dm.EventID(c.Channel, c.Account, dm.KindLabel, append(append([]string{c.Customer, l.By, l.At.Format(time.RFC3339Nano)}, l.Added...), l.Removed...)...),
		Conversation: c.Conversation, Kind: dm.KindLabel, KnownAccount: true, Time: l.At, ReceivedAt: l.At, Source: dm.SourceParley, Labels: &l,
	}
	if err := d.pipeline.Publish(ctx, d.pipeline.Event(e, e.ID)); err != nil {
		return away(fmt.Errorf("label %s: %w", c.Conversation, err))
	}
	return d.audit(ctx, by, c, "conversation.labelled")
}
