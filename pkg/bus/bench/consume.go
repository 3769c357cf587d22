package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	stock "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
)

// counter counts messages, sees the longest gap between two and says when the last has come.
type counter struct {
	want             int64
	n                atomic.Int64
	first, last, gap atomic.Int64 // nanoseconds of the monotonic clock
	done             chan struct{}
}

var zero = time.Now()

func newCounter(want int) *counter { return &counter{want: int64(want), done: make(chan struct{})} }

func (c *counter) add() {
	now := int64(time.Since(zero))
	if before := c.last.Swap(now); before == 0 {
		c.first.Store(now)
	} else if now-before > c.gap.Load() {
		c.gap.Store(now - before)
	}
	if c.n.Add(1) == c.want {
		close(c.done)
	}
}

func (c *counter) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Minute):
		return fmt.Errorf("only %d of %d messages in 5 minutes", c.n.Load(), c.want)
	}
}

// rawConsume is Consume with an Ack each, and nothing around it, with one consumer for each filter.
func (b *bench) rawConsume(ctx context.Context, stream string, filters []string, c *counter) error {
	nc, err := nats.Connect(b.server.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	var stops []func()
	for i, filter := range filters {
		name := fmt.Sprintf("raw%d", i)
		consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 4096})
		if err != nil {
			return err
		}
		consume, err := consumer.Consume(func(m jetstream.Msg) {
			_ = m.Ack()
			c.add()
		}, jetstream.PullMaxMessages(1024))
		if err != nil {
			return err
		}
		stops = append(stops, func() {
			consume.Stop()
			_ = js.DeleteConsumer(ctx, stream, name)
		})
	}
	err = errors.Join(c.wait(ctx), nc.Flush())
	for _, stop := range stops {
		stop()
	}
	return err
}

// how says how a subscriber of ours consumes.
type how struct{ keyed, owned bool }

// member consumes through a router, with a connection of its own, until stop is called.
func (b *bench) member(ctx context.Context, stream, group string, h how, c *counter) (stop func() error, err error) {
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: b.server.url})
	if err != nil {
		return nil, err
	}
	cfg := bus.SubscriberConfig{Group: group, Stream: func(context.Context, string) (string, error) { return stream, nil }}
	if h.keyed {
		cfg.Key = func(_ string, m *message.Message) string { return m.Metadata["lane"] }
	}
	if h.owned {
		leases, err := bus.OpenBucket(ctx, conn, "leases")
		if err != nil {
			return nil, err
		}
		cfg.Ownership = &bus.Ownership{Bucket: leases, Partitions: partitions, Filter: func(p int) string { return fmt.Sprintf("%s.%d.>", stream, p) }}
	}
	sub, err := bus.NewSubscriber(conn, cfg)
	if err != nil {
		return nil, err
	}
	router, err := bus.NewRouter(bus.RouterConfig{
		Stage: "bench", DeadLetters: bus.NewPublisher(conn, bus.PublisherConfig{}), DeadSubject: func(*message.Message) string { return "none" },
	})
	if err != nil {
		return nil, err
	}
	router.AddConsumerHandler("count", stream+".>", sub, func(*message.Message) error { c.add(); return nil })
	done := make(chan error, 1)
	go func() { done <- router.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-router.Running():
	case err := <-done:
		return nil, err
	}
	return func() error {
		err := errors.Join(router.Close(), <-done)
		conn.Close()
		return err
	}, nil
}

// busConsume consumes a stream with some members of one group.
func (b *bench) busConsume(ctx context.Context, stream, group string, members int, h how, c *counter) error {
	var errs []error
	var stops []func() error
	for range members {
		stop, err := b.member(ctx, stream, group, h, c)
		if err != nil {
			errs = append(errs, err)
			break
		}
		stops = append(stops, stop)
	}
	if len(errs) == 0 {
		errs = append(errs, c.wait(ctx))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, stop := range stops {
		wg.Go(func() {
			err := stop()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stockConsume is watermill-nats at its safe defaults (AckSync) with 8 subscribers in a router.
func (b *bench) stockConsume(ctx context.Context, stream string, c *counter) error {
	sub, err := stock.NewSubscriber(stock.SubscriberConfig{
		URL: b.server.url, QueueGroupPrefix: "stock", SubscribersCount: 8,
		JetStream: stock.JetStreamConfig{DurablePrefix: "stock", SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit(), nats.BindStream(stream)}},
	}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	router.AddConsumerHandler("count", stream+".>", sub, func(*message.Message) error { c.add(); return nil })
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	return errors.Join(c.wait(ctx), router.Close(), <-done)
}
