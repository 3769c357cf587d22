// Package holds is who has a conversation: the bot, a person or another app, until when and why.
//
// It is kept in a bucket and changed by compare-and-set. Those who ask for every message ask a copy in memory, which follows
// the bucket: no round trip for what the bot has, and a change is known everywhere within moments, to who made it at once. Every change is an
// event too, with an id that is the same however often the change is made; the caller publishes it.
//
// It decides nothing: who may change what is the stages' and the operator's.
package holds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// Bucket is the key-value bucket.
type Bucket interface {
	Get(ctx context.Context, key string) (bus.Entry, error)
	CreateFor(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	UpdateFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error)
	Watch(ctx context.Context, keys string, f func(*bus.Entry)) error
}

// Options says how to keep them.
type Options struct {
	// Max bounds the conversations in memory; 200,000 if 0. Beyond it the bucket is asked for those that are not there.
	Max int
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	Log *slog.Logger
}

// Holds is safe for concurrent use.
type Holds struct {
	bucket Bucket
	o      Options
	copied *replica
}

// New makes Holds on a bucket. Those who ask [Holds.Holder] must run [Holds.Run]; changing works without.
func New(b Bucket, o Options) *Holds {
	if o.Max <= 0 {
		o.Max = 200_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Holds{bucket: b, o: o, copied: newReplica(o.Max)}
}

// Change is what became of a change that was asked for.
type Change struct {
	// Changed: the bucket has it now, and had it not before.
	Changed bool
	// Event tells of it. It is nil when nothing changed, but not when the change had been made already by the same cause:
	// whoever made it may have ended before it was published.
	Event *dm.Event
	// Record is what the bucket has now.
	Record Record
}

// errChanging is a record that others change again and again.
var errChanging = errors.New("the record keeps changing")

// Change changes who has a conversation, if what the record says lets it.
func (s *Holds) Change(ctx context.Context, c dm.Conversation, h dm.Hold) (Change, error) {
	h.At, h.Until = instant(h.At), instant(h.Until)
	key := topology.ConversationKey(c)
	for range 10 {
		change, err := s.try(ctx, key, c, h)
		if !errors.Is(err, bus.ErrWrongRevision) && !errors.Is(err, bus.ErrKeyExists) {
			return change, err
		}
	}
	return Change{}, fmt.Errorf("change who has %s: %w", c, errChanging)
}

func (s *Holds) try(ctx context.Context, key string, c dm.Conversation, h dm.Hold) (Change, error) {
	at, err := s.bucket.Get(ctx, key)
	found := !errors.Is(err, bus.ErrKeyNotFound)
	if err != nil && found {
		return Change{}, fmt.Errorf("read who has %s: %w", c, err)
	}
	before := Record{}
	if found {
		if before, err = decode(key, at.Value); err != nil {
			return Change{}, err
		}
	}
	after, v := before.with(h)
	switch v {
	case idle:
		return Change{Record: before}, nil
	case again:
		return Change{Record: before, Event: event(c, h)}, nil
	case changed:
	}
	after.Version, after.Conversation = version, c.String()
	value, err := json.Marshal(after)
	if err != nil {
		return Change{}, fmt.Errorf("encode who has %s: %w", c, err)
	}
	var revision uint64
	if ttl := after.ttl(s.o.Now()); found {
		revision, err = s.bucket.UpdateFor(ctx, key, value, at.Revision, ttl)
	} else {
		revision, err = s.bucket.CreateFor(ctx, key, value, ttl)
	}
	if err != nil {
		return Change{}, fmt.Errorf("write who has %s: %w", c, err)
	}
	s.copied.put(key, after, revision)
	return Change{Changed: true, Event: event(c, h), Record: after}, nil
}

// Get reads a conversation's record from the bucket; an empty one if there is none.
func (s *Holds) Get(ctx context.Context, c dm.Conversation) (Record, error) {
	key := topology.ConversationKey(c)
	at, err := s.bucket.Get(ctx, key)
	if errors.Is(err, bus.ErrKeyNotFound) {
		return Record{Version: version, Conversation: c.String()}, nil
	}
	if err != nil {
		return Record{}, fmt.Errorf("read who has %s: %w", c, err)
	}
	return decode(key, at.Value)
}

// errListed ends a watch that was begun for what there is now.
var errListed = errors.New("all was listed")

// List calls f with every record there is, in no order. A record that cannot be read is an error.
func (s *Holds) List(ctx context.Context, f func(Record) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var first error
	err := s.bucket.Watch(ctx, ">", func(e *bus.Entry) {
		switch {
		case ctx.Err() != nil:
			return
		case e == nil:
			cancel(errListed)
			return
		case e.Deleted:
			return
		}
		r, err := decode(e.Key, e.Value)
		if err == nil {
			err = f(r)
		}
		if err != nil {
			first = err
			cancel(err)
		}
	})
	switch {
	case first != nil:
		return first
	case errors.Is(context.Cause(ctx), errListed):
		return nil
	case err != nil:
		return fmt.Errorf("list who has which conversation: %w", err)
	default:
		return context.Cause(ctx)
	}
}

// event tells of a change. The same change has the same id.
func event(c dm.Conversation, h dm.Hold) *dm.Event {
	return &dm.Event{
		ID:           dm.EventID(c.Channel, c.Account, dm.KindHold, c.Customer, string(h.Holder), string(h.Reason), h.Cause, strconv.FormatInt(h.At.UnixMicro(), 10)),
		Conversation: c, Kind: dm.KindHold, MID: h.MID, KnownAccount: true, Time: h.At, ReceivedAt: h.At, Source: dm.SourceParley, Hold: &h,
	}
}

// instant is a time as every store has it.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}
