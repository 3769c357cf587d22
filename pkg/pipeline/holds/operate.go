package holds

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// Operation is what an operator asks for.
type Operation struct {
	Conversation dm.Conversation
	// By is who asks.
	By string
	// Release gives the conversation back to the bot, whoever has it. Otherwise the person takes it, until a time; with a
	// zero time, until it is given back.
	Release bool
	Until   time.Time
}

// Operate does what an operator asks for, and tells of it on the bus. It makes no streams and no bucket.
func Operate(ctx context.Context, conn *bus.Conn, o Operation) (Change, error) {
	bucket, err := bus.OpenBucket(ctx, conn, topology.Conversations.Name)
	if err != nil {
		return Change{}, err
	}
	now := time.Now()
	h := dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldOperator, By: o.By, At: now, Until: o.Until, Cause: "operator-" + strconv.FormatInt(now.UnixNano(), 36)}
	if o.Release {
		h.Holder, h.Until = dm.HolderBot, time.Time{}
	}
	change, err := New(bucket, Options{}).Change(ctx, o.Conversation, h)
	if err != nil || change.Event == nil {
		return change, err
	}
	return change, publish(ctx, conn, *change.Event)
}

func publish(ctx context.Context, conn *bus.Conn, e dm.Event) error {
	partitions, err := topology.Partitions(ctx, conn.JetStream())
	if err != nil {
		return err
	}
	payload, err := envelope.Event(e, e.Hold.Cause).Encode()
	if err != nil {
		return err
	}
	m := message.NewMessage(e.ID, payload)
	m.Metadata[replay.HeaderConversation], m.Metadata[replay.HeaderAccount] = e.Conversation.String(), e.Account
	publisher := bus.NewPublisher(conn, bus.PublisherConfig{})
	if err := publisher.PublishAll(ctx, bus.Addressed{Subject: topology.EventSubject(&e, partitions), Message: m}); err != nil {
		return fmt.Errorf("tell that %s changed hands, which it did: %w", e.Conversation, err)
	}
	return publisher.Close()
}
