// Package operate is what people and scripts do with a conversation: write to the customer, take it over, hand it back.
//
// It only tells the bus what is wanted, as any stage does: an intent of origin operator, a change of who holds the
// conversation. What comes of it is seen in the rows. Who may do it is for its callers to say; that it was done is in the
// audit log.
package operate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// What is refused. The messages are for people.
var (
	ErrWindow = errors.New("the customer's last message is more than 7 days old, or there is none: Meta lets nobody write to them until they write again")
	ErrAway   = errors.New("the bus is away: try again in a moment")
)

// Deps is what a desk works with.
type Deps struct {
	Pipeline *pipeline.Pipeline
	Store    *store.Store
	Now      func() time.Time
}

// Desk does what is asked.
type Desk struct{ d Deps }

// New makes a desk.
func New(d Deps) *Desk { return &Desk{d} }

// MaxText bounds a message that somebody writes, in characters; a long one is sent as several.
const MaxText = 5000

// Message is what is to be said.
type Message struct {
	Text string
	// Key makes the message the same when it is asked for again, within its user; a new one if empty.
	Key string
}

// Acceptable says what is wrong with a message.
func (m Message) Acceptable() error {
	switch {
	case !utf8.ValidString(m.Text) || strings.ContainsRune(m.Text, 0):
		return errors.New("text: expected UTF-8 without NUL")
	case strings.TrimSpace(m.Text) == "":
		return errors.New("text: got nothing, expected something to say")
	case utf8.RuneCountInString(m.Text) > MaxText:
		return fmt.Errorf("text: got %d characters, expected %d at most", utf8.RuneCountInString(m.Text), MaxText)
	}
	for _, part := range graph.Expand([]dm.Part{{Kind: dm.PartText, Text: m.Text}}) {
		if err := graph.Check(part); err != nil {
			return fmt.Errorf("text: %w", err)
		}
	}
	return nil
}

// Send queues a message to the customer, as a person. It answers the customer's last message: within 24 hours of it as any,
// within 7 days with the tag for people, later not at all.
func (d *Desk) Send(ctx context.Context, by store.Actor, c store.Conversation, m Message) (intentID string, err error) {
	if err := m.Acceptable(); err != nil {
		return "", err
	}
	now := d.d.Now().UTC().Truncate(time.Microsecond)
	last, err := d.d.Store.LastInbound(ctx, c.ID)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !now.Before(last.At.Add(dm.HumanWindow)):
		return "", ErrWindow
	case err != nil:
		return "", err
	case !d.d.Pipeline.Joined():
		return "", ErrAway
	}
	if m.Key == "" {
		m.Key = rand.Text()
	}
	intent := dm.ReplyIntent{
		ID: dm.IntentID("operator:"+by.UserID+":"+c.ID+":"+m.Key, 0), EventID: last.EventID, Conversation: c.Key(), Origin: dm.OriginOperator,
		Parts: []dm.Part{{Kind: dm.PartText, Text: m.Text}}, EventTime: last.At, ReceivedAt: now, CreatedAt: now,
	}
	cause := last.EventID
	if cause == "" {
		cause = intent.ID
	}
	if err := d.d.Pipeline.Publish(ctx, d.d.Pipeline.Intent(intent, cause, cause)); err != nil {
		return "", away(fmt.Errorf("send to %s: %w", c.Key(), err))
	}
	err = d.d.Store.Audit(ctx, by, store.Change{Action: "message.sent", Target: "conversation:" + c.ID, Detail: map[string]any{"intent": intent.ID}})
	return intent.ID, err
}

// Hold takes a conversation from the bot, until a time; with a zero time, until it is handed back.
func (d *Desk) Hold(ctx context.Context, by store.Actor, c store.Conversation, until time.Time) error {
	return d.change(ctx, by, c, holds.Operation{Conversation: c.Key(), By: by.Name, Until: until}, "conversation.taken_over")
}

// Release gives a conversation back to the bot, whoever has it.
func (d *Desk) Release(ctx context.Context, by store.Actor, c store.Conversation) error {
	return d.change(ctx, by, c, holds.Operation{Conversation: c.Key(), By: by.Name, Release: true}, "conversation.handed_back")
}

func (d *Desk) change(ctx context.Context, by store.Actor, c store.Conversation, o holds.Operation, action string) error {
	if !d.d.Pipeline.Joined() {
		return ErrAway
	}
	if _, err := holds.Operate(ctx, d.d.Pipeline.Conn(), o); err != nil {
		return away(err)
	}
	return d.d.Store.Audit(ctx, by, store.Change{Action: action, Target: "conversation:" + c.ID})
}

// Holder says who has a conversation: nobody but the bot, where held is false.
func (d *Desk) Holder(ctx context.Context, c store.Conversation) (h dm.Hold, held bool, err error) {
	if !d.d.Pipeline.Joined() {
		return h, false, ErrAway
	}
	bucket, err := bus.OpenBucket(ctx, d.d.Pipeline.Conn(), topology.Conversations.Name)
	if err != nil {
		return h, false, away(err)
	}
	record, err := holds.New(bucket, holds.Options{}).Get(ctx, c.Key())
	if err != nil {
		return h, false, away(err)
	}
	h, held = record.At(d.d.Now())
	return h, held, nil
}

func away(err error) error {
	if errors.Is(err, bus.ErrUnavailable) {
		return errors.Join(ErrAway, err)
	}
	return err
}
