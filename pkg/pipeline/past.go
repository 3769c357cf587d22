package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// Past is which messages of an account the streams know.
type Past struct {
	// Since is from when on they know all: not before the account's first event, nor before what the streams still have. Zero
	// while nothing ever came of the account.
	Since time.Time
	// Latest is when an event last came by webhook since then.
	Latest time.Time
	MIDs   map[string]struct{}
}

// maxPast bounds what is read at once. pastSkew is how much earlier than it was said a message may seem to have come, because
// clocks differ and Meta's times are whole seconds in places.
const (
	maxPast  = 200_000
	pastSkew = 2 * time.Minute
	// pastRest leaves four fifths of the time to those who answer: who looks at the past is in no hurry.
	pastRest = 4
)

// ErrLongPast is returned where there is more than can be read at once.
var ErrLongPast = errors.New("more messages than can be looked through at once")

// Past reads which messages of an account came in or went out since a time of the bus's clock. Like [Pipeline.Echoes] it is for
// the rare case.
func (p *Pipeline) Past(ctx context.Context, account string, since time.Time) (Past, error) {
	past := Past{MIDs: map[string]struct{}{}}
	begun, err := p.begun(ctx, account)
	if err != nil || begun.IsZero() {
		return past, err
	}
	if past.Since, err = p.whole(ctx, latest(since, begun)); err != nil {
		return past, err
	}
	var subjects []string
	for _, kind := range []dm.EventKind{dm.KindMessage, dm.KindPostback, dm.KindEcho, dm.KindSelf, dm.KindStandby, dm.KindDelete} {
		subjects = append(subjects, "dm.event.*."+topology.Token(account)+"."+string(kind))
	}
	err = p.mids(ctx, replay.Scan{Stream: topology.Events.Name, Subjects: subjects, Since: past.Since.Add(-pastSkew)}, past.MIDs, func(payload []byte) (string, error) {
		e, err := envelope.Decode[dm.Event](payload)
		if e.Data.Source == dm.SourceWebhook {
			past.Latest = latest(past.Latest, e.Data.ReceivedAt)
		}
		return e.Data.MID, err
	})
	if err != nil {
		return past, err
	}
	sent := []string{"dm.delivery." + topology.Token(account) + "." + string(dm.OutcomeSent)}
	err = p.mids(ctx, replay.Scan{Stream: topology.Deliveries.Name, Subjects: sent, Since: past.Since.Add(-pastSkew)}, past.MIDs, func(payload []byte) (string, error) {
		d, err := envelope.Decode[dm.Delivery](payload)
		return d.Data.MID, err
	})
	if err != nil {
		return past, err
	}
	past.Since, err = p.whole(ctx, past.Since) // what was trimmed meanwhile may not have been read
	return past, err
}

func (p *Pipeline) mids(ctx context.Context, s replay.Scan, to map[string]struct{}, mid func([]byte) (string, error)) error {
	s.Rest = pastRest
	err := replay.Each(ctx, p.conn.JetStream(), s, func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
		id, err := mid(m.Data())
		if err != nil {
			return false, err // to leave it out would be to say that it did not come
		}
		to[id] = struct{}{}
		if len(to) > maxPast {
			return false, ErrLongPast
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read the past since %s: %w", s.Since.UTC().Format(time.RFC3339), err)
	}
	return nil
}

// begun is when the first event of an account came that the stream still has; zero without any.
func (p *Pipeline) begun(ctx context.Context, account string) (at time.Time, err error) {
	scan := replay.Scan{Stream: topology.Events.Name, Subjects: []string{"dm.event.*." + topology.Token(account) + ".>"}}
	err = replay.Each(ctx, p.conn.JetStream(), scan, func(_ jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		at = meta.Timestamp
		return false, nil
	})
	if err != nil {
		return at, fmt.Errorf("look for the first event: %w", err)
	}
	return at, nil
}

// whole is since when the streams of which the past is made have everything, not before since.
func (p *Pipeline) whole(ctx context.Context, since time.Time) (time.Time, error) {
	for _, s := range []topology.Stream{topology.Events, topology.Deliveries} {
		from, err := p.reaches(ctx, s)
		if err != nil {
			return since, err
		}
		since = latest(since, from)
	}
	return since, nil
}

// reaches is how far back a stream reaches: to its beginning, or to where it was trimmed.
func (p *Pipeline) reaches(ctx context.Context, s topology.Stream) (time.Time, error) {
	stream, err := bus.OpenStream(ctx, p.conn.JetStream(), s.Name)
	if err != nil {
		return time.Time{}, fmt.Errorf("read stream %s: %w", s.Name, err)
	}
	info := stream.CachedInfo()
	if !bus.FromLeader(info) {
		if info, err = bus.LeaderInfo(ctx, stream); err != nil {
			return time.Time{}, fmt.Errorf("read stream %s: %w", s.Name, err)
		}
	}
	switch {
	case info.State.FirstSeq <= 1:
		return info.Created, nil
	case info.State.Msgs == 0:
		return info.State.LastTime.Add(time.Nanosecond), nil
	default:
		return info.State.FirstTime, nil
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
