// Package replay reads a stretch of the streams once more into one stage.
//
// The messages are published again to their subjects, with a header that names the stage they are for; the other stages let
// them pass. They keep their payload, and so their ids: into the archiver a replay changes nothing that is right already
// and fills in what is missing; into the responder it decides again, and what was answered already is not answered again,
// because intents have the same ids and the sender's ledger knows them.
package replay

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
	"github.com/parley-dm/parley/pkg/topology"
)

// The headers of a message that was published again.
const (
	// HeaderTo is the one stage that it is for.
	HeaderTo = "Parley-Replay-To"
	// HeaderCause says why it came again: the replay's name, or the dead letter's number.
	HeaderCause = "Parley-Replay-Cause"
	// HeaderBy is who asked for it, and HeaderAt when.
	HeaderBy = "Parley-Replay-By"
	HeaderAt = "Parley-Replay-At"
)

// For says whether a message with this [HeaderTo] is for a stage: it is, unless it was published again for another one.
func For(to, stage string) bool { return to == "" || to == stage }

// The stages that a replay can be for, with the streams that they read.
var stages = map[string][]topology.Stream{
	"archiver":  {topology.Events, topology.Intents, topology.Deliveries},
	"responder": {topology.Events},
}

// Request says what to replay.
type Request struct {
	// Stage is archiver or responder.
	Stage string
	// From and To bound the time at which the messages were stored; zero values do not.
	From, To time.Time
	// Account and Conversation pick those of one; empty picks all.
	Account, Conversation string
	// By is who asks.
	By string
	// DryRun only counts.
	DryRun bool
}

// Validate reports every problem.
func (r *Request) Validate() error {
	var errs []error
	if stages[r.Stage] == nil {
		errs = append(errs, fmt.Errorf("stage: got %q, expected archiver or responder", r.Stage))
	}
	if !r.From.IsZero() && !r.To.IsZero() && !r.From.Before(r.To) {
		errs = append(errs, fmt.Errorf("from %s is not before to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339)))
	}
	if r.Conversation != "" {
		if _, err := dm.ParseConversation(r.Conversation); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Result counts what was found, by stream, and what was published again.
type Result struct {
	Found     map[string]int
	Published int
}

// Total is how many messages were found.
func (r Result) Total() int {
	total := 0
	for _, n := range r.Found {
		total += n
	}
	return total
}

// flight is how many messages are published at once.
const flight = 200

// Run replays, in each stream's order. When it fails in the middle it may be run again.
func Run(ctx context.Context, conn *bus.Conn, r Request) (Result, error) {
	if err := r.Validate(); err != nil {
		return Result{}, err
	}
	result := Result{Found: map[string]int{}}
	publisher := bus.NewPublisher(conn, bus.PublisherConfig{AckTimeout: 30 * time.Second})
	name := "replay-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	for _, s := range stages[r.Stage] {
		if err := r.stream(ctx, conn, publisher, s, name, &result); err != nil {
			return result, errors.Join(err, publisher.Close())
		}
	}
	return result, publisher.Close()
}

func (r *Request) stream(ctx context.Context, conn *bus.Conn, publisher *bus.Publisher, s topology.Stream, name string, result *Result) error {
	var waiting []bus.Addressed
	flush := func() error {
		if len(waiting) == 0 {
			return nil
		}
		if err := publisher.PublishAll(ctx, waiting...); err != nil {
			return fmt.Errorf("replay from stream %s: %w", s.Name, err)
		}
		result.Published += len(waiting)
		waiting = waiting[:0]
		return nil
	}
	err := Each(ctx, conn.JetStream(), Scan{Stream: s.Name, Since: r.From}, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		if !r.To.IsZero() && !meta.Timestamp.Before(r.To) {
			return false, nil
		}
		if !r.wants(msg) {
			return true, nil
		}
		result.Found[s.Name]++
		if r.DryRun {
			return true, nil
		}
		waiting = append(waiting, Again(msg.Subject(), msg.Headers(), msg.Data(), Mark{
			To: r.Stage, Cause: name, By: r.By, ID: msg.Headers().Get(jetstream.MsgIDHeader) + "." + name,
		}))
		if len(waiting) >= flight {
			return true, flush()
		}
		return true, nil
	})
	return errors.Join(err, flush())
}

// wants picks by the headers that every envelope travels with. What is itself a replay is not replayed.
func (r *Request) wants(msg jetstream.Msg) bool {
	h := msg.Headers()
	return h.Get(HeaderTo) == "" && (r.Account == "" || h.Get(HeaderAccount) == r.Account) && (r.Conversation == "" || h.Get(HeaderConversation) == r.Conversation)
}

// The headers that every envelope travels with, for those who route or look without reading the payload.
const (
	HeaderConversation = "Parley-Conversation"
	HeaderAccount      = "Parley-Account"
)

// Mark says for whom, why and by whom a message is published again, and under which id: not its own, which the stream may
// still know and drop.
type Mark struct{ To, Cause, By, ID string }

// Again makes the message that is published again.
func Again(subject string, headers map[string][]string, payload []byte, m Mark) bus.Addressed {
	out := message.NewMessage(m.ID, payload)
	for k, v := range headers {
		if k != jetstream.MsgIDHeader && len(v) > 0 {
			out.Metadata[k] = v[0]
		}
	}
	out.Metadata[HeaderTo], out.Metadata[HeaderCause], out.Metadata[HeaderBy] = m.To, m.Cause, m.By
	out.Metadata[HeaderAt] = time.Now().UTC().Format(time.RFC3339)
	return bus.Addressed{Subject: subject, Message: out}
}
