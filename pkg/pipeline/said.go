package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// Echoes reads the echoes of a conversation that were stored since a time of the bus's clock, oldest first. It reads what
// there is, keeps nothing, and costs the more the longer ago the time is: for the rare case, not for every message.
func (p *Pipeline) Echoes(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error) {
	return said[dm.Event](ctx, p, c, replay.Scan{Stream: topology.Events.Name, Subjects: p.subjects(c, dm.KindEcho), Since: since})
}

// Heard reads the customer's messages and taps, as [Pipeline.Echoes] does echoes.
func (p *Pipeline) Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error) {
	return p.HeardBefore(ctx, c, since, 0)
}

// HeardBefore is [Pipeline.Heard] up to a sequence of the events' stream, without what is there; 0 is no bound.
func (p *Pipeline) HeardBefore(ctx context.Context, c dm.Conversation, since time.Time, sequence uint64) ([]dm.Event, error) {
	return said[dm.Event](ctx, p, c, replay.Scan{
		Stream: topology.Events.Name, Subjects: p.subjects(c, dm.KindMessage, dm.KindPostback), Since: since, Before: sequence,
	})
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
	return said[dm.Delivery](ctx, p, c, replay.Scan{Stream: topology.Deliveries.Name, Subjects: []string{subject}, Since: since})
}

// FollowSent calls sent with every delivery that says sent: those of the last moments, as many as window says, then each as it
// is published, until ctx ends. behind is called with whether the earlier ones are still being read. Some may be told twice
// and, after an outage that is longer than the window, some never: those who need to be certain ask [Pipeline.Spoken]. sent
// may be called by two goroutines at once and must not take long.
func (p *Pipeline) FollowSent(ctx context.Context, window time.Duration, sent func(dm.Delivery), behind func(bool)) error {
	again := make(chan struct{}, 1)
	stop, err := p.conn.Tap(ctx, sentSubject, readSent(sent), func() {
		select {
		case again <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("follow what is sent: %w", err)
	}
	defer stop()
	for {
		behind(true)
		if err := p.SentBetween(ctx, time.Now().Add(-window), time.Time{}, sent); err != nil {
			return fmt.Errorf("follow what is sent: %w", err)
		}
		behind(false)
		select {
		case <-ctx.Done():
			return nil
		case <-again: // what was published meanwhile was missed
		}
	}
}

// sentSubject is that of every delivery that says sent.
const sentSubject = "dm.delivery.*." + string(dm.OutcomeSent)

// readSent passes on what can be read; the rest is of a newer version, or somebody else's.
func readSent(sent func(dm.Delivery)) func(payload []byte) {
	return func(payload []byte) {
		if e, err := envelope.Decode[dm.Delivery](payload); err == nil {
			sent(e.Data)
		}
	}
}

// SentBetween calls sent with the deliveries that say sent and were stored between two times of the bus's clock, in their order; up
// to now without the second.
func (p *Pipeline) SentBetween(ctx context.Context, from, to time.Time, sent func(dm.Delivery)) error {
	heard := readSent(sent)
	scan := replay.Scan{Stream: topology.Deliveries.Name, Subjects: []string{sentSubject}, Since: from, Until: to}
	err := replay.Each(ctx, p.conn.JetStream(), scan, func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
		heard(m.Data())
		return true, ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read what was sent since %s: %w", from.UTC().Format(time.RFC3339), err)
	}
	return nil
}

// Spoken is one message that was to be said in a conversation, and what the sender's ledger has of it.
type Spoken struct {
	IntentID string
	Part     int
	// Text is a text's; others have none.
	Text string
	// MID is Meta's id, when it was sent.
	MID string
	// InFlight: it may be on its way, or may have been sent. Unknown: that was given up.
	InFlight, Unknown bool
}

// maxParts bounds the messages of one intent that are looked for.
const maxParts = 100

// Spoken reads what became of the messages that were decided in a conversation between two times of the bus's clock, and that the
// sender has begun. It reads all of the account's intents of that time, and is for the rare case.
func (p *Pipeline) Spoken(ctx context.Context, c dm.Conversation, since, until time.Time) ([]Spoken, error) {
	subject := topology.IntentSubject(&dm.ReplyIntent{Conversation: c}, p.Partitions())
	intents, err := said[dm.ReplyIntent](ctx, p, c, replay.Scan{Stream: topology.Intents.Name, Subjects: []string{subject}, Since: since, Until: until})
	if err != nil {
		return nil, err
	}
	return p.begunOf(ctx, intents)
}

// Unsettled reads, as [Pipeline.Spoken] does, what became of the messages that were decided before a time and have no outcome yet, or
// had none a moment ago: those that waited for long, in the sender's lane or while their account was paused.
func (p *Pipeline) Unsettled(ctx context.Context, c dm.Conversation, before time.Time) ([]Spoken, error) {
	of := &dm.ReplyIntent{Conversation: c}
	floor, owned, err := p.settled(ctx, topology.Intents, dm.AccountPartition(c.Channel, c.Account, p.Partitions()))
	if err != nil || !owned {
		return nil, err // nobody ever sent anything
	}
	// In this order: what is parked meanwhile is in the second when it has left the first.
	var all []dm.ReplyIntent
	for _, scan := range []replay.Scan{
		{Stream: topology.Intents.Name, Subjects: []string{topology.IntentSubject(of, p.Partitions())}, From: floor + 1, Until: before},
		{Stream: topology.Parked.Name, Subjects: []string{topology.ParkedSubject(of, p.Partitions())}},
	} {
		intents, err := said[dm.ReplyIntent](ctx, p, c, scan)
		if err != nil {
			return nil, err
		}
		all = append(all, intents...)
	}
	return p.begunOf(ctx, all)
}

// settled is up to where the owners of a stream's partition have settled everything, and whether it ever had an owner.
func (p *Pipeline) settled(ctx context.Context, s topology.Stream, partition int) (floor uint64, owned bool, err error) {
	leases, err := p.Bucket(ctx, topology.Leases)
	if err != nil {
		return 0, false, err
	}
	all, err := bus.Holdings(ctx, leases)
	for _, h := range all {
		if h.Stream != s.Name || h.Partition != partition {
			continue
		}
		if !owned || h.Floor < floor {
			floor = h.Floor
		}
		owned = true
	}
	return floor, owned, err
}

// begunOf is what the ledger has of intents.
func (p *Pipeline) begunOf(ctx context.Context, intents []dm.ReplyIntent) ([]Spoken, error) {
	if len(intents) == 0 {
		return nil, nil
	}
	ledger, err := p.Bucket(ctx, topology.Ledger)
	if err != nil {
		return nil, err
	}
	var out []Spoken
	for _, i := range intents {
		// Actions are shown and not said: the ledger does not count them.
		parts := slices.DeleteFunc(graph.Expand(i.Parts), func(p dm.Part) bool { return p.Kind.Action() })
		for n := range maxParts { // a message is begun when the one before it has its outcome
			s := Spoken{IntentID: i.ID, Part: n}
			if n < len(parts) && parts[n].Kind == dm.PartText {
				s.Text = parts[n].Text // the others' echoes tell little of what was in them
			}
			found, err := s.look(ctx, ledger)
			if err != nil {
				return nil, err
			}
			if !found {
				break
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// look reads the ledger's entry. Of its members these two are all that others than the sender need.
func (s *Spoken) look(ctx context.Context, ledger *bus.Bucket) (found bool, err error) {
	at, err := ledger.Get(ctx, topology.LedgerKey(s.IntentID, s.Part))
	if errors.Is(err, bus.ErrKeyNotFound) {
		return false, nil
	}
	var entry struct {
		State string `json:"state"`
		MID   string `json:"mid"`
	}
	if err == nil {
		err = json.Unmarshal(at.Value, &entry)
	}
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	s.MID, s.Unknown = entry.MID, entry.State == string(dm.OutcomeUnknown)
	s.InFlight = entry.State == "claimed" || entry.State == "in_doubt"
	return true, nil
}

// said reads what a scan finds of a conversation, without what was only published again.
func said[T envelope.Data](ctx context.Context, p *Pipeline, c dm.Conversation, scan replay.Scan) ([]T, error) {
	var out []T
	name := c.String()
	err := replay.Each(ctx, p.conn.JetStream(), scan,
		func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
			if h := m.Headers(); h.Get(replay.HeaderConversation) != name || h.Get(replay.HeaderTo) != "" {
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
		return nil, fmt.Errorf("read what was said: %w", err)
	}
	return out, nil
}
