package pipeline

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// Outgoing is an envelope on its way to its subject.
type Outgoing struct {
	subject, id, account, conversation string
	to                                 string // the one stage that it is for; empty: all
	payload                            []byte
	err                                error
}

// ID is the envelope's id.
func (o Outgoing) ID() string { return o.id }

// Event makes an event's envelope; cause is the id of the webhook request.
func (p *Pipeline) Event(e dm.Event, cause string) Outgoing {
	return outgoing(envelope.Event(e, cause), topology.EventSubject(&e, p.Partitions()))
}

// Intent makes a reply intent's envelope.
func (p *Pipeline) Intent(i dm.ReplyIntent, correlation, cause string) Outgoing {
	return outgoing(envelope.Intent(i, correlation, cause), topology.IntentSubject(&i, p.Partitions()))
}

// Delivery makes a delivery's envelope.
func (p *Pipeline) Delivery(d dm.Delivery, correlation, cause string) Outgoing {
	return outgoing(envelope.Delivery(d, correlation, cause), topology.DeliverySubject(&d))
}

// For is the same for one stage alone, which the others let pass. It travels under an id that tells it from what all hear: the stream
// stores an id once.
func (o Outgoing) For(stage, id string) Outgoing {
	o.to, o.id = stage, id
	return o
}

func outgoing[T envelope.Data](e envelope.Envelope[T], subject string) Outgoing {
	payload, err := e.Encode()
	return Outgoing{subject: subject, id: e.ID, account: e.Account, conversation: e.Conversation, payload: payload, err: err}
}

// Publish sends all in one flight and returns when JetStream has acknowledged every one. An error means that at least one
// was not acknowledged; publishing the same again stores nothing twice. In a handler it refuses once the message's
// partition has another owner.
func (p *Pipeline) Publish(ctx context.Context, out ...Outgoing) error {
	if len(out) == 0 {
		return nil
	}
	if err := bus.Owned(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	messages := make([]bus.Addressed, len(out))
	traced := trace.SpanContextFromContext(ctx).IsValid()
	for i, o := range out {
		if o.err != nil {
			return bus.Permanent(o.err)
		}
		m := message.NewMessage(o.id, o.payload)
		m.Metadata[replay.HeaderConversation] = o.conversation
		m.Metadata[replay.HeaderAccount] = o.account
		if o.to != "" {
			m.Metadata[replay.HeaderTo] = o.to
		}
		if traced {
			propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(m.Metadata))
		}
		messages[i] = bus.Addressed{Subject: o.subject, Message: m}
	}
	return p.publisher.PublishAll(ctx, messages...)
}
