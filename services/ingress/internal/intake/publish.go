package intake

import (
	"context"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
)

// batch is the events of one webhook or several, each with its lane and the id of the request that brought it.
type batch struct {
	events []dm.Event
	lanes  []uint16
	causes []string
}

func (b *batch) add(e dm.Event, lane uint16, cause string) {
	b.events = append(b.events, e)
	b.lanes = append(b.lanes, lane)
	b.causes = append(b.causes, cause)
}

// flights splits a batch, in its order, into as few as keep the order within each lane when they are published one after
// another, each at once.
//
// A server that refuses one message for a moment, because a stream is full or gets another leader, may take the one behind it.
// Within a conversation the next event therefore goes when the one before it is acknowledged.
func (b *batch) flights() []batch {
	if len(b.events) == 1 {
		return []batch{*b}
	}
	var out []batch
	behind := make(map[uint16]int, len(b.events))
	for i, lane := range b.lanes {
		n := behind[lane]
		behind[lane]++
		if n == len(out) {
			out = append(out, batch{})
		}
		out[n].add(b.events[i], lane, b.causes[i])
	}
	return out
}

// publish returns when every event of a batch is acknowledged, or one is not.
func publish(ctx context.Context, b Bus, all batch) error {
	for _, flight := range all.flights() {
		if err := send(ctx, b, flight); err != nil {
			return err
		}
	}
	return nil
}

// send publishes a flight.
func send(ctx context.Context, b Bus, flight batch) error {
	out := make([]pipeline.Outgoing, len(flight.events))
	for i := range flight.events {
		out[i] = b.Event(flight.events[i], flight.causes[i])
	}
	return b.Publish(ctx, out...)
}
