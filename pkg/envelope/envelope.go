// Package envelope is the one message format on the bus: who it is about, what caused it, and its data, as JSON that any
// client can read.
//
// An envelope's id is deterministic and is the Nats-Msg-Id, so that publishing twice stores once. It carries no subjects
// and knows no bus; package pipeline puts it there.
package envelope

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// The types of envelope.
const (
	TypeEvent    = "dm.event"
	TypeIntent   = "dm.intent"
	TypeDelivery = "dm.delivery"
)

// Version is the version of every envelope's data that this code writes. Readers accept it and older ones; a newer one is
// an [UnsupportedError], not a guess.
const Version = 1

// Data is what an envelope may carry.
type Data interface {
	dm.Event | dm.ReplyIntent | dm.Delivery
}

// Envelope is one message on the bus.
type Envelope[T Data] struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Account string    `json:"account"`
	// Conversation is dm.Conversation's String.
	Conversation string `json:"conversation"`
	// CorrelationID is the id of the event that began it all; CausationID that of the message, or the webhook request,
	// that caused this one.
	CorrelationID string `json:"correlation_id"`
	CausationID   string `json:"causation_id,omitempty"`
	Data          T      `json:"data"`
}

// Event wraps an event; cause is the webhook request's id.
func Event(e dm.Event, cause string) Envelope[dm.Event] {
	return Envelope[dm.Event]{
		ID: e.ID, Type: TypeEvent, Version: Version, Time: e.ReceivedAt, Account: e.Account,
		Conversation: e.Conversation.String(), CorrelationID: e.ID, CausationID: cause, Data: e,
	}
}

// Intent wraps a reply intent; correlation is that of what it answers.
func Intent(i dm.ReplyIntent, correlation, cause string) Envelope[dm.ReplyIntent] {
	return Envelope[dm.ReplyIntent]{
		ID: i.ID, Type: TypeIntent, Version: Version, Time: i.CreatedAt, Account: i.Account,
		Conversation: i.Conversation.String(), CorrelationID: correlation, CausationID: cause, Data: i,
	}
}

// Delivery wraps a delivery; correlation is that of its intent.
func Delivery(d dm.Delivery, correlation, cause string) Envelope[dm.Delivery] {
	return Envelope[dm.Delivery]{
		ID: d.ID, Type: TypeDelivery, Version: Version, Time: d.SentAt, Account: d.Account,
		Conversation: d.Conversation.String(), CorrelationID: correlation, CausationID: cause, Data: d,
	}
}

// Encode writes the envelope as JSON.
func (e Envelope[T]) Encode() ([]byte, error) {
	w := &writer{out: make([]byte, 0, e.size())}
	e.write(w)
	if w.err != nil {
		return nil, fmt.Errorf("encode envelope %s of type %s: %w", e.ID, e.Type, w.err)
	}
	return w.out, nil
}

// Decode reads an envelope whose data is a T. It fails with a [FormatError] on what is not an envelope of that type, and
// with an [UnsupportedError] on a version from the future.
func Decode[T Data](payload []byte) (Envelope[T], error) {
	var e Envelope[T]
	if !scan(payload, &e) {
		e = Envelope[T]{}
		if err := json.Unmarshal(payload, &e); err != nil {
			return e, &FormatError{Field: "envelope", Expected: "a JSON envelope of type " + typeOf[T](), Err: err}
		}
	}
	switch {
	case e.Type != typeOf[T]():
		return e, &FormatError{Field: "type", Got: e.Type, Expected: typeOf[T]()}
	case e.ID == "":
		return e, &FormatError{Field: "id", Got: "nothing", Expected: "a non-empty string"}
	case e.Version > Version:
		return e, &UnsupportedError{Type: e.Type, Version: e.Version}
	case e.Version < 1:
		return e, &FormatError{Field: "version", Got: fmt.Sprint(e.Version), Expected: "1 or more"}
	}
	return e, nil
}

func typeOf[T Data]() string {
	var zero T
	switch any(zero).(type) {
	case dm.Event:
		return TypeEvent
	case dm.ReplyIntent:
		return TypeIntent
	default:
		return TypeDelivery
	}
}
