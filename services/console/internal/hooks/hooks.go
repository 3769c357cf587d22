// Package hooks tells other programs what happens: outgoing webhooks, posted by package signed, tried again for a day,
// with a log of what came of each.
//
// A durable consumer notes in the database what is to be told, once for each webhook and event; a courier posts it. Nothing
// is posted to addresses of a private network, whatever a name resolves to when it is called, unless a setting allows it. It
// reads no answer but its status, and follows no redirect.
package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/console/internal/live"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// Store keeps webhooks and what they are to be told.
type Store interface {
	Webhooks(ctx context.Context) ([]store.Webhook, error)
	AddDelivery(ctx context.Context, d store.NewDelivery) error
	DueDeliveries(ctx context.Context, limit int, claim time.Duration) ([]store.DueDelivery, error)
	FinishDelivery(ctx context.Context, r store.DeliveryResult) error
}

// Options says how to tell.
type Options struct {
	// AllowPrivate lets webhooks be at addresses of private networks and at plain http.
	AllowPrivate bool
	// Resolver looks names up; the system's if nil.
	Resolver *net.Resolver
	Log      *slog.Logger
	Now      func() time.Time
}

// Hooks tells.
type Hooks struct {
	store Store
	o     Options
	wake  chan struct{} // something waits for the courier
	first chan struct{} // there may be a first webhook

	mu     sync.Mutex
	known  []store.Webhook
	readAt time.Time
}

// known webhooks are read again after this: how long a change on another replica may take to hold.
const knownFor = 2 * time.Second

// New makes Hooks.
func New(s Store, o Options) *Hooks {
	return &Hooks{store: s, o: o, wake: make(chan struct{}, 1), first: make(chan struct{}, 1)}
}

// Changed says that webhooks were changed here.
func (h *Hooks) Changed() {
	h.mu.Lock()
	h.readAt = time.Time{}
	h.mu.Unlock()
	nudge(h.first)
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// webhooks are all that there are, as of a moment ago.
func (h *Hooks) webhooks(ctx context.Context) ([]store.Webhook, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.readAt.IsZero() && h.o.Now().Sub(h.readAt) < knownFor {
		return h.known, nil
	}
	found, err := h.store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	h.known, h.readAt = found, h.o.Now()
	return found, nil
}

// Handle registers the consumers.
func (h *Hooks) Handle(p *pipeline.Pipeline) error {
	consume := pipeline.Consume{Shared: true, MaxInFlight: 64}
	err := p.HandleEvents("events", consume, func(ctx context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		what, ok := ofEvent(&e.Data)
		if !ok {
			return nil, nil
		}
		return nil, h.note(ctx, what)
	})
	if err != nil {
		return err
	}
	return p.HandleDeliveries("deliveries", consume, func(ctx context.Context, e envelope.Envelope[dm.Delivery]) ([]pipeline.Outgoing, error) {
		what, ok := ofDelivery(&e.Data)
		if !ok {
			return nil, nil
		}
		return nil, h.note(ctx, what)
	})
}

// note keeps what every webhook that wants it is to be told.
func (h *Hooks) note(ctx context.Context, what Happening) error {
	all, err := h.webhooks(ctx)
	if err != nil {
		return bus.WhileAway(err)
	}
	for i := range all {
		if !all[i].Wants(what.Event, what.Conversation.Account, what.heard) {
			continue
		}
		body, err := json.Marshal(what)
		if err != nil {
			return bus.Permanent(fmt.Errorf("tell of %s: %w", what.ID, err))
		}
		err = h.store.AddDelivery(ctx, store.NewDelivery{
			WebhookID: all[i].ID, Event: what.Event, EventID: what.ID, Account: what.Conversation.Account, Body: body,
		})
		if err != nil {
			return bus.WhileAway(err)
		}
		nudge(h.wake)
	}
	return nil
}

// Happening is what a webhook is told, as JSON.
type Happening struct {
	// ID is the same however often it is told.
	ID    string `json:"id"`
	Event string `json:"event"`
	// Time is when it happened.
	Time         time.Time    `json:"time"`
	Conversation Conversation `json:"conversation"`
	// Message is the customer's message, for message.received.
	Message *Message `json:"message,omitempty"`
	// Reply is what was sent or not, for reply.sent and reply.failed.
	Reply *Reply `json:"reply,omitempty"`
	// Holder is who has the conversation, for conversation.handed_off.
	Holder *Holder `json:"holder,omitempty"`

	heard time.Time // when it reached the installation
}

// Conversation names a conversation.
type Conversation struct {
	ID       string     `json:"id"`
	Channel  dm.Channel `json:"channel"`
	Account  string     `json:"account"`
	Customer string     `json:"customer"`
}

// Message is what a customer said.
type Message struct {
	MID  string `json:"mid,omitempty"`
	Type string `json:"type"`
	Text string `json:"text,omitempty"`
}

// Reply is what became of a message of ours.
type Reply struct {
	IntentID string     `json:"intent_id"`
	MID      string     `json:"mid,omitempty"`
	Outcome  dm.Outcome `json:"outcome"`
	Reason   string     `json:"reason,omitempty"`
	Text     string     `json:"text,omitempty"`
}

// Holder is who has a conversation.
type Holder struct {
	Who    dm.Holder     `json:"who"`
	Reason dm.HoldReason `json:"reason"`
	By     string        `json:"by,omitempty"`
	Until  time.Time     `json:"until,omitzero"`
}

func named(c dm.Conversation) Conversation {
	return Conversation{ID: live.ConversationID(c), Channel: c.Channel, Account: c.Account, Customer: c.Customer}
}

// ofEvent says what webhooks are told of an event, if anything.
func ofEvent(e *dm.Event) (Happening, bool) {
	what := Happening{ID: e.ID, Time: e.Time, Conversation: named(e.Conversation), heard: e.ReceivedAt}
	switch {
	case !e.KnownAccount:
		return what, false
	case e.FromCustomer():
		what.Event = store.EventReceived
		what.Message = &Message{MID: e.MID, Type: e.MessageType, Text: e.Text}
		return what, true
	case e.Kind == dm.KindHold && e.Hold != nil && e.Hold.Holder == dm.HolderPerson:
		what.Event = store.EventHandedOff
		what.Holder = &Holder{Who: e.Hold.Holder, Reason: e.Hold.Reason, By: e.Hold.By, Until: e.Hold.Until}
		return what, true
	default:
		return what, false
	}
}

// ofDelivery says what webhooks are told of a delivery, if anything.
func ofDelivery(d *dm.Delivery) (Happening, bool) {
	what := Happening{
		ID: d.ID, Time: d.SentAt, Conversation: named(d.Conversation), heard: d.SentAt,
		Reply: &Reply{IntentID: d.IntentID, MID: d.MID, Outcome: d.Outcome, Reason: d.Reason, Text: d.Message.Text},
	}
	switch d.Outcome {
	case dm.OutcomeSent:
		what.Event = store.EventSent
	case dm.OutcomeFailed, dm.OutcomeExpired, dm.OutcomeUnknown:
		what.Event = store.EventFailed
	default:
		return what, false
	}
	return what, true
}
