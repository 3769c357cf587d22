// Package desk is what people of the business do with a conversation that the rest of Parley must know: write to the customer,
// take the conversation over, give it back, label it.
//
// It tells the bus and nothing else. Who may do it is the pages' to check, and what the desk alone knows (who it is assigned to,
// whether it is closed) is the store's.
package desk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/topology"
)

// ErrAway is returned while the bus is not reached: nothing can be sent or changed hands.
var ErrAway = errors.New("the bus is away")

// Desk is safe for concurrent use.
type Desk struct {
	pipeline *pipeline.Pipeline
	holds    atomic.Pointer[holds.Holds] // nil until the bus is there
	now      func() time.Time
}

// New makes a desk. [Desk.Run] must run.
func New(p *pipeline.Pipeline, now func() time.Time) *Desk { return &Desk{pipeline: p, now: now} }

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
		return nil, ErrAway
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
func (d *Desk) Take(ctx context.Context, c dm.Conversation, by string, until time.Time) error {
	return d.change(ctx, c, dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldOperator, By: by, Until: until})
}

// HandBack gives a conversation back to the bot, whoever has it.
func (d *Desk) HandBack(ctx context.Context, c dm.Conversation, by string) error {
	return d.change(ctx, c, dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, By: by})
}

func (d *Desk) change(ctx context.Context, c dm.Conversation, h dm.Hold) error {
	all, err := d.ready()
	if err != nil {
		return err
	}
	h.At = d.now()
	h.Cause = "operator-" + strconv.FormatInt(h.At.UnixNano(), 36)
	change, err := all.Change(ctx, c, h)
	if err != nil || change.Event == nil {
		return err
	}
	if err := d.pipeline.Publish(ctx, d.pipeline.Event(*change.Event, h.Cause)); err != nil {
		return fmt.Errorf("tell that %s changed hands, which it did: %w", c, err)
	}
	return nil
}

// Saying is what a person writes to a customer.
type Saying struct {
	Conversation dm.Conversation
	// Nonce is the form's: what is sent twice with it is said once.
	Nonce string
	Parts []dm.Part
	// EventID and EventTime are those of the customer's last message: what the messaging window is counted from.
	EventID   string
	EventTime time.Time
}

// IntentID is the id of a saying's intent.
func (s *Saying) IntentID() string {
	return dm.IntentID("operator:"+s.Conversation.String()+":"+s.Nonce, 0)
}

// Say publishes what a person writes.
func (d *Desk) Say(ctx context.Context, s Saying) error {
	if !d.pipeline.Joined() {
		return ErrAway
	}
	now := d.now().UTC().Truncate(time.Microsecond)
	i := dm.ReplyIntent{
		ID: s.IntentID(), EventID: s.EventID, Conversation: s.Conversation, Origin: dm.OriginOperator, Parts: s.Parts,
		EventTime: s.EventTime, ReceivedAt: now, CreatedAt: now,
	}
	return d.pipeline.Publish(ctx, d.pipeline.Intent(i, i.ID, i.ID))
}

// Label puts labels on a conversation or takes them off.
func (d *Desk) Label(ctx context.Context, c dm.Conversation, l dm.Labels) error {
	if !d.pipeline.Joined() {
		return ErrAway
	}
	l.At = d.now().UTC().Truncate(time.Microsecond)
	e := dm.Event{
		ID:           dm.EventID(c.Channel, c.Account, dm.KindLabel, append(append([]string{c.Customer, l.By, l.At.Format(time.RFC3339Nano)}, l.Added...), l.Removed...)...),
		Conversation: c, Kind: dm.KindLabel, KnownAccount: true, Time: l.At, ReceivedAt: l.At, Source: dm.SourceParley, Labels: &l,
	}
	return d.pipeline.Publish(ctx, d.pipeline.Event(e, e.ID))
}
