package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// Echoes reads the echoes of a conversation that were stored since a time of the bus's clock, oldest first. It reads what
// there is, keeps nothing, and costs the more the longer ago the time is: for the rare case, not for every message.
func (p *Pipeline) Echoes(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error) {
	return said[dm.Event](ctx, p, topology.Events, p.subjects(c, dm.KindEcho), c, since)
}

// Heard reads the customer's messages and taps, as [Pipeline.Echoes] does echoes.
func (p *Pipeline) Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error) {
	return said[dm.Event](ctx, p, topology.Events, p.subjects(c, dm.KindMessage, dm.KindPostback), c, since)
}

func (p *Pipeline) subjects(c dm.Conversation, kinds ...dm.EventKind) []string {
	out := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		out = append(out, "dm.event."+strconv.Itoa(c.Partition(p.Partitions()))+"."+topology.Token(c.Account)+"."+string(kind))
	}
	return out
}

// Sent reads the deliveries of a conversation that say sent, as [Pipeline.Echoes] does echoes.
func (p *Pipeline) Sent(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Delivery, error) {
	subject := "dm.delivery." + topology.Token(c.Account) + "." + string(dm.OutcomeSent)
	return said[dm.Delivery](ctx, p, topology.Deliveries, []string{subject}, c, since)
}

func said[T envelope.Data](ctx context.Context, p *Pipeline, s topology.Stream, subjects []string, c dm.Conversation, since time.Time) ([]T, error) {
	var out []T
	name := c.String()
	err := replay.Each(ctx, p.conn.JetStream(), replay.Scan{Stream: s.Name, Subjects: subjects, Since: since},
		func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
			if m.Headers().Get(replay.HeaderConversation) != name {
				return true, nil
			}
			e, err := envelope.Decode[T](m.Data())
			if err != nil {
				return false, err // to leave it out would be to say that it was not said
			}
			out = append(out, e.Data)
			return true, nil
		})
	if err != nil {
		return nil, fmt.Errorf("read what was said since %s: %w", since.UTC().Format(time.RFC3339), err)
	}
	return out, nil
}
