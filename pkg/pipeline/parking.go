package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// The headers of a parked intent: where it came from. Its id is made of both, so that an intent that comes again is parked
// once, and one that an operator had published again is not taken for the first.
const (
	headerFrom     = "Parley-Parked-From"
	headerSequence = "Parley-Parked-Sequence"
)

// parkTimeout bounds one attempt to park: a handler waits for it with its place among all.
const parkTimeout = 2 * time.Second

// fewParked is up to how many messages are read one by one: a consumer for them would cost more.
const fewParked = 4

// Parking is the stream of parked intents. It knows where they lie, not whether they may leave.
//
// What is in it is not settled, whatever the stream of intents says: it is removed by [Parking.Remove] alone, never by age,
// and at its bound the stream refuses.
type Parking struct {
	p      *Pipeline
	stream jetstream.Stream
	handle message.HandlerFunc
}

// Parked is one parked intent.
type Parked struct {
	// Sequence is its place; Conversation its envelope's; Since when it was parked.
	Sequence     uint64
	Conversation string
	Since        time.Time

	id, from string
	at       uint64 // its place in the stream that it came from
	metadata message.Metadata
	payload  []byte
}

// Parking opens the stream of parked intents, and waits for a bus that is away. name and h are those that the intents go to when they leave.
func (p *Pipeline) Parking(ctx context.Context, name string, h Handler[dm.ReplyIntent]) (*Parking, error) {
	var stream jetstream.Stream
	err := p.patiently(ctx, "open stream "+topology.Parked.Name, func(ctx context.Context) (err error) {
		stream, err = bus.OpenStream(ctx, p.conn.JetStream(), topology.Parked.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	attempt, err := bus.Attempt(bus.RouterConfig{ //nolint:contextcheck // the messages bring contexts of their own
		Stage: p.o.Service, DeadLetters: p.publisher, DeadSubject: p.deadSubject, HandlerTimeout: handlerTimeout, Logger: p.tel.Log, Metrics: p.tel.Metrics,
	})
	if err != nil {
		return nil, err
	}
	handler := adapt(p, name, h)
	return &Parking{p: p, stream: stream, handle: attempt(func(m *message.Message) ([]*message.Message, error) { return nil, handler(m) })}, nil
}

// Subject names the queue that an intent waits in: that of its account.
func (k *Parking) Subject(i *dm.ReplyIntent) string {
	return topology.ParkedSubject(i, k.p.Partitions())
}

// Partition is the one that an intent's account is in.
func (k *Parking) Partition(i *dm.ReplyIntent) int {
	return dm.AccountPartition(i.Channel, i.Account, k.p.Partitions())
}

// Put parks the intent that is being handled with ctx and returns when JetStream has it. When it fails the intent may be
// parked all the same; to park it again parks it once.
func (k *Parking) Put(ctx context.Context, e envelope.Envelope[dm.ReplyIntent]) error {
	if err := bus.Owned(ctx); err != nil {
		return fmt.Errorf("park: %w", err)
	}
	payload, err := e.Encode()
	if err != nil {
		return bus.Permanent(err)
	}
	sequence := strconv.FormatUint(bus.Sequence(ctx), 10)
	m := message.NewMessage(e.ID+".parked-"+sequence, payload)
	m.Metadata[replay.HeaderConversation], m.Metadata[replay.HeaderAccount] = e.Conversation, e.Account
	m.Metadata[headerFrom], m.Metadata[headerSequence] = bus.Subject(ctx), sequence
	ctx, cancel := context.WithTimeout(ctx, parkTimeout)
	defer cancel()
	return k.p.publisher.PublishAll(ctx, bus.Addressed{Subject: k.Subject(&e.Data), Message: m})
}

// Count says how many intents are parked in a partition, by queue, as the stream's leader knows it.
func (k *Parking) Count(ctx context.Context, partition int) (map[string]uint64, error) {
	return k.count(ctx, topology.Parked.PartitionFilter(partition))
}

// Len says how many intents are parked in one queue.
func (k *Parking) Len(ctx context.Context, subject string) (uint64, error) {
	counts, err := k.count(ctx, subject)
	return counts[subject], err
}

func (k *Parking) count(ctx context.Context, filter string) (map[string]uint64, error) {
	info, err := bus.LeaderInfo(ctx, k.stream, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("count what is parked: %w", err)
	}
	return info.State.Subjects, nil
}

// Read reads the first intents of a queue, in their order. It may miss the newest ones.
func (k *Parking) Read(ctx context.Context, subject string, most int) ([]Parked, error) {
	if most <= fewParked {
		return k.readFew(ctx, subject, most)
	}
	var out []Parked
	err := replay.Each(ctx, k.p.conn.JetStream(), replay.Scan{Stream: topology.Parked.Name, Subjects: []string{subject}},
		func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
			out = append(out, parked(meta.Sequence.Stream, meta.Timestamp, m.Headers(), m.Data()))
			return len(out) < most, nil
		})
	if err != nil {
		return nil, fmt.Errorf("read what is parked: %w", err)
	}
	return out, nil
}

func (k *Parking) readFew(ctx context.Context, subject string, most int) ([]Parked, error) {
	var out []Parked
	for from := uint64(1); len(out) < most; {
		m, err := k.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read what is parked: %w", err)
		}
		out = append(out, parked(m.Sequence, m.Time, m.Header, m.Data))
		from = m.Sequence + 1
	}
	return out, nil
}

func parked(sequence uint64, since time.Time, headers map[string][]string, payload []byte) Parked {
	out := Parked{Sequence: sequence, Since: since, metadata: message.Metadata{}, payload: payload}
	for k, v := range headers {
		if len(v) == 0 {
			continue
		}
		switch k {
		case jetstream.MsgIDHeader:
			out.id = v[0]
		case headerFrom:
			out.from = v[0]
		case headerSequence:
			out.at, _ = strconv.ParseUint(v[0], 10, 64)
		default:
			out.metadata[k] = v[0]
		}
	}
	out.Conversation = out.metadata[replay.HeaderConversation]
	return out
}

// Handle gives a parked intent to the handler, once. ctx is that of the work beside the partition's handlers. nil means that
// it is done with, as a dead letter too; after an error it is to stay where it is.
func (k *Parking) Handle(ctx context.Context, name string, one Parked) error {
	m := message.NewMessage(one.id, one.payload)
	for header, v := range one.metadata {
		m.Metadata[header] = v
	}
	m.SetContext(bus.Beside(ctx, name, one.from, one.at))
	_, err := k.handle(m)
	return err
}

// Remove takes an intent that is done with out of its queue.
func (k *Parking) Remove(ctx context.Context, one Parked) error {
	err := k.stream.DeleteMsg(ctx, one.Sequence)
	if err == nil {
		return nil
	}
	// One that is gone already is refused with words only.
	if _, there := k.stream.GetMsg(ctx, one.Sequence); errors.Is(there, jetstream.ErrMsgNotFound) {
		return nil
	}
	return fmt.Errorf("remove a parked intent: %w", err)
}
