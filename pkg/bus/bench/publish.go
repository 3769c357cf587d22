package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	stock "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
)

const (
	lanes      = 1000
	partitions = 16
	sliceOf    = 100
	window     = 4000
)

var payload = make([]byte, 500)

func subject(stream string, i int) string {
	return stream + "." + strconv.Itoa(i%lanes%partitions) + "." + lane(i)
}

func newMessage(i int) *message.Message {
	m := message.NewMessage("id-"+strconv.Itoa(i), payload)
	m.Metadata["lane"] = lane(i)
	return m
}

// rawPublish is what JetStream gives to a client that waits for nothing but its window.
func (b *bench) rawPublish(ctx context.Context, stream string, n int) error {
	nc, err := nats.Connect(b.server.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	failed := make(chan error, 1)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(window), jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
		select {
		case failed <- err:
		default:
		}
	}))
	if err != nil {
		return err
	}
	for i := range n {
		m := &nats.Msg{Subject: subject(stream, i), Data: payload, Header: nats.Header{jetstream.MsgIDHeader: {"id-" + strconv.Itoa(i)}, "lane": {lane(i)}}}
		_, err := js.PublishMsgAsync(m)
		for errors.Is(err, jetstream.ErrTooManyStalledMsgs) { // the server is slow today
			_, err = js.PublishMsgAsync(m)
		}
		if err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// busPublish publishes slices of 100 from some callers at once, each waiting for its slice's acknowledgements.
func (b *bench) busPublish(ctx context.Context, stream string, n, callers int) error {
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: b.server.url})
	if err != nil {
		return err
	}
	defer conn.Close()
	pub := bus.NewPublisher(conn, bus.PublisherConfig{MaxPending: window})
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for from := c * sliceOf; from < n && errs[c] == nil; from += callers * sliceOf {
				out := make([]bus.Addressed, sliceOf)
				for i := range out {
					out[i] = bus.Addressed{Subject: subject(stream, from+i), Message: newMessage(from + i)}
				}
				errs[c] = pub.PublishAll(ctx, out...)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return pub.Close()
}

// stockPublish is watermill-nats with deduplication on, as ours has it; slices of 100, each to one subject.
func (b *bench) stockPublish(_ context.Context, stream string, n int) error {
	pub, err := stock.NewPublisher(stock.PublisherConfig{URL: b.server.url, JetStream: stock.JetStreamConfig{TrackMsgId: true}}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	for from := 0; from < n; from += sliceOf {
		out := make([]*message.Message, sliceOf)
		for i := range out {
			out[i] = newMessage(from + i)
		}
		if err := pub.Publish(subject(stream, from), out...); err != nil {
			return fmt.Errorf("watermill-nats: %w", err)
		}
	}
	return pub.Close()
}
