package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// handlerTimeout bounds one attempt of a handler.
const handlerTimeout = 2 * time.Minute

// Consume says how a stage's messages are handed out.
type Consume struct {
	// Shared: the stage's replicas share one consumer and no order is kept. Otherwise each partition has one owner among
	// them, and the messages of one conversation are handled one after another.
	Shared bool
	// MaxInFlight bounds the handlers that run at once; 256 if 0.
	MaxInFlight int
	// LeaseTTL is what a killed owner's partitions wait; the bus's default if 0.
	LeaseTTL time.Duration
	// Tend is work beside the handlers of a partition that is ours; see bus.Ownership.
	Tend func(ctx context.Context, partition int) (work func(), err error)
}

// Handler handles one envelope. What it returns is published before the message is acknowledged. It is safe to run twice.
type Handler[T envelope.Data] func(ctx context.Context, e envelope.Envelope[T]) ([]Outgoing, error)

// HandleEvents subscribes to all events. name is unique within the stage.
func (p *Pipeline) HandleEvents(name string, c Consume, h Handler[dm.Event]) error {
	return handle(p, name, topology.Events, c, h)
}

// HandleIntents subscribes to all reply intents.
func (p *Pipeline) HandleIntents(name string, c Consume, h Handler[dm.ReplyIntent]) error {
	return handle(p, name, topology.Intents, c, h)
}

// HandleDeliveries subscribes to all deliveries; they are not partitioned, so Consume must say Shared.
func (p *Pipeline) HandleDeliveries(name string, c Consume, h Handler[dm.Delivery]) error {
	return handle(p, name, topology.Deliveries, c, h)
}

func handle[T envelope.Data](p *Pipeline, name string, stream topology.Stream, c Consume, h Handler[T]) error {
	cfg := bus.SubscriberConfig{
		Group: p.o.Service + "-" + name, MaxInFlight: c.MaxInFlight, CloseTimeout: p.drainTimeout(), Logger: p.tel.Log, Metrics: p.tel.Metrics,
		Stream: func(context.Context, string) (string, error) { return stream.Name, nil },
	}
	switch {
	case p.leases == nil:
		return fmt.Errorf("handle %s: the stage has not joined the bus yet", name)
	case c.Shared:
	case !stream.Partitioned:
		return fmt.Errorf("handle %s: stream %s has no partitions to own, expected Shared", name, stream.Name)
	default:
		cfg.Key = func(_ string, m *message.Message) string { return m.Metadata[replay.HeaderConversation] }
		cfg.Ownership = &bus.Ownership{Bucket: p.leases, Partitions: p.Partitions(), Filter: stream.PartitionFilter, TTL: c.LeaseTTL, Tend: c.Tend}
		if p.o.Host != nil {
			cfg.Ownership.Member = p.o.Host.Member
		}
	}
	subscriber, err := bus.NewSubscriber(p.conn, cfg)
	if err != nil {
		return fmt.Errorf("handle %s: %w", name, err)
	}
	p.handlers++
	p.router.AddConsumerHandler(name, stream.Subjects, patient{subscriber, p, name}, adapt(p, name, h))
	return nil
}

// adapt decodes, calls the handler and publishes what it returned, before the message is acknowledged.
func adapt[T envelope.Data](p *Pipeline, name string, h Handler[T]) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		ctx := m.Context()
		if !replay.For(m.Metadata, p.o.Service) {
			return nil // published again for another stage
		}
		if m.Metadata["traceparent"] != "" {
			var span trace.Span
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(m.Metadata))
			ctx, span = p.tel.Tracer.Start(ctx, p.o.Service+" "+name, trace.WithSpanKind(trace.SpanKindConsumer))
			defer span.End()
		}
		e, err := envelope.Decode[T](m.Payload)
		var newer *envelope.UnsupportedError
		switch {
		case errors.As(err, &newer):
			return bus.WhileAway(err) // until this service is updated: nothing is wrong with the message
		case err != nil:
			return bus.Permanent(err)
		}
		out, err := h(ctx, e)
		if err != nil {
			return err
		}
		return p.Publish(ctx, out...)
	}
}

func (p *Pipeline) deadSubject(m *message.Message) string {
	return topology.DeadSubject(p.o.Service, m.Metadata[replay.HeaderAccount])
}
