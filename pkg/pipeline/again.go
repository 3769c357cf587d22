package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// DecideAgain has the responder decide once more, in their order, what a customer said since a time of the bus's clock. What was
// answered stays as it is: the same event makes the same intent, which the sender knows. cause tells this time from every other:
// with the same cause nothing is published twice.
func (p *Pipeline) DecideAgain(ctx context.Context, c dm.Conversation, since time.Time, cause string) error {
	var all []bus.Addressed
	name := c.String()
	scan := replay.Scan{Stream: topology.Events.Name, Subjects: p.subjects(c, dm.KindMessage, dm.KindPostback), Since: since}
	err := replay.Each(ctx, p.conn.JetStream(), scan, func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
		if h := m.Headers(); h.Get(replay.HeaderConversation) == name && h.Get(replay.HeaderTo) == "" {
			all = append(all, replay.Again(m.Subject(), h, m.Data(), replay.Mark{
				To: "responder", Cause: cause, By: p.o.Service, ID: h.Get(jetstream.MsgIDHeader) + "." + cause,
			}))
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read what was said since %s: %w", since.UTC().Format(time.RFC3339), err)
	}
	for n := range all { // each when the one before it is stored: a stream may refuse one for a moment, and take the next
		if err := p.publisher.PublishAll(ctx, all[n]); err != nil {
			return fmt.Errorf("publish once more what was said: %w", err)
		}
	}
	return nil
}
