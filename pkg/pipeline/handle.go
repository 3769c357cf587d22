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
	// FromNow: a stage's first consumer hears of what happens from then on, and not of what the stream has already. Only Shared.
	FromNow bool
	// MaxInFlight bounds the messages that are handled at once; 256 if 0.
	MaxInFlight int
	// Batch bounds how many a [BatchHandler] gets at once, and BatchWait how long the first waits for others.
	Batch     int
	BatchWait time.Duration
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

// HandleHolds subscribes to the events that tell that a conversation changed hands; Consume must say Shared.
func (p *Pipeline) HandleHolds(name string, c Consume, h Handler[dm.Event]) error {
	if !c.Shared {
		return fmt.Errorf("handle %s: expected Shared", name)
	}
	some := topology.Events
	some.Subjects = topology.EventsOf(dm.KindHold)
	return handle(p, name, some, c, h)
}

// HandleIntents subscribes to all reply intents.
func (p *Pipeline) HandleIntents(name string, c Consume, h Handler[dm.ReplyIntent]) error {
	return handle(p, name, topology.Intents, c, h)
}

// HandleDeliveries subscribes to all deliveries; they are not partitioned, so Consume must say Shared.
func (p *Pipeline) HandleDeliveries(name string, c Consume, h Handler[dm.Delivery]) error {
	return handle(p, name, topology.Deliveries, c, h)
}

// BatchHandler handles several envelopes, or one, and publishes nothing. Its error is about all of them: each then comes
// again, alone. It is safe to run twice.
type BatchHandler[T envelope.Data] func(ctx context.Context, all []envelope.Envelope[T]) error

// HandleEventBatches subscribes to all events, several at a time; Consume must say Shared.
func (p *Pipeline) HandleEventBatches(name string, c Consume, h BatchHandler[dm.Event]) error {
	return subscribe(p, name, topology.Events, c, adaptBatch(p, name, h))
}

// HandleIntentBatches subscribes to all reply intents, several at a time; Consume must say Shared.
func (p *Pipeline) HandleIntentBatches(name string, c Consume, h BatchHandler[dm.ReplyIntent]) error {
	return subscribe(p, name, topology.Intents, c, adaptBatch(p, name, h))
}

// HandleDeliveryBatches subscribes to all deliveries, several at a time; Consume must say Shared.
func (p *Pipeline) HandleDeliveryBatches(name string, c Consume, h BatchHandler[dm.Delivery]) error {
	return subscribe(p, name, topology.Deliveries, c, adaptBatch(p, name, h))
}

func handle[T envelope.Data](p *Pipeline, name string, stream topology.Stream, c Consume, h Handler[T]) error {
	c.Batch = 1
	return subscribe(p, name, stream, c, adapt(p, name, h))
}

func subscribe(p *Pipeline, name string, stream topology.Stream, c Consume, h message.NoPublishHandlerFunc) error {
	cfg := bus.SubscriberConfig{
		Batch: c.Batch, BatchWait: c.BatchWait, FromNow: c.FromNow,
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
	p.router.AddConsumerHandler(name, stream.Subjects, patient{subscriber, p, name}, h)
	return nil
}

// adapt decodes, calls the handler and publishes what it returned, before the message is acknowledged.
func adapt[T envelope.Data](p *Pipeline, name string, h Handler[T]) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		ctx := m.Context()
		if !replay.For(m.Metadata[replay.HeaderTo], p.o.Service) {
			return nil // published again for another stage
		}
		if m.Metadata["traceparent"] != "" {
			var span trace.Span
			ctx, span = p.span(ctx, name, propagation.MapCarrier(m.Metadata))
			defer span.End()
		}
		e, err := decode[T](m.Payload)
		if err != nil {
			return err
		}
		out, err := h(ctx, e)
		if err != nil {
			return err
		}
		return p.Publish(ctx, out...)
	}
}

// adaptBatch is adapt for a handler that takes several.
func adaptBatch[T envelope.Data](p *Pipeline, name string, h BatchHandler[T]) message.NoPublishHandlerFunc {
	alone := adapt(p, name, func(ctx context.Context, e envelope.Envelope[T]) ([]Outgoing, error) {
		return nil, h(ctx, []envelope.Envelope[T]{e})
	})
	return func(m *message.Message) error {
		ctx := m.Context()
		batch := bus.Batch(ctx)
		if batch == nil {
			return alone(m)
		}
		all := make([]envelope.Envelope[T], 0, len(batch))
		var spans []trace.Span
		defer func() {
			for _, span := range spans {
				span.End()
			}
		}()
		for i := range batch {
			r := &batch[i]
			if !replay.For(r.Header(replay.HeaderTo), p.o.Service) {
				continue
			}
			if parent := r.Header("traceparent"); parent != "" {
				_, span := p.span(ctx, name, propagation.MapCarrier{"traceparent": parent, "tracestate": r.Header("tracestate")})
				spans = append(spans, span)
			}
			e, err := decode[T](r.Payload)
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return h(ctx, all)
	}
}

// span begins a span below the one that published a message.
func (p *Pipeline) span(ctx context.Context, name string, parent propagation.MapCarrier) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, parent)
	return p.tel.Tracer.Start(ctx, p.o.Service+" "+name, trace.WithSpanKind(trace.SpanKindConsumer))
}

func decode[T envelope.Data](payload []byte) (envelope.Envelope[T], error) {
	e, err := envelope.Decode[T](payload)
	var newer *envelope.UnsupportedError
	switch {
	case errors.As(err, &newer):
		return e, bus.WhileAway(err) // until this service is updated: nothing is wrong with the message
	case err != nil:
		return e, bus.Permanent(err)
	}
	return e, nil
}

func (p *Pipeline) deadSubject(m *message.Message) string {
	return topology.DeadSubject(p.o.Service, m.Metadata[replay.HeaderAccount])
}
