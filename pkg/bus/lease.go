package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lease is what a partition's key holds.
type lease struct {
	// Member holds it; empty when it was given back.
	Member string `json:"member"`
	// Incarnation tells one run of a member from another.
	Incarnation string `json:"incarnation,omitempty"`
	// Generation names the consumer. 0 in a lease's first revision, whose own number it is then.
	Generation uint64 `json:"generation,omitempty"`
	// Previous is the generation before, until its consumer is known to be deleted.
	Previous uint64 `json:"previous,omitempty"`
	// Floor is the stream sequence up to which everything is settled.
	Floor uint64 `json:"floor"`
	// Stream is when the stream was made: a floor means nothing in another stream of the same name.
	Stream time.Time `json:"stream"`
	// On is the stream and Filter the subject that the partition's messages have, for those who ask what is still wanted.
	On     string `json:"on"`
	Filter string `json:"filter"`

	revision uint64
}

func parseLease(e Entry) lease {
	var l lease
	if len(e.Value) > 0 && json.Unmarshal(e.Value, &l) != nil {
		l = lease{} // not ours to understand: floor 0 repeats, and loses nothing
	}
	l.revision = e.Revision
	if l.Generation == 0 {
		l.Generation = e.Revision
	}
	return l
}

func (l lease) encode() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	return b
}

func (o *owner) leaseKey(partition int) string {
	return fmt.Sprintf("%s.lease.%d", o.group, partition)
}

func (o *owner) consumerName(partition int, generation uint64) string {
	return consumerName(o.group, partition, generation)
}

// take makes us the owner of a partition whose lease is free or over: it writes the lease, cuts the old owner off and
// makes the new generation's consumer.
func (o *owner) take(ctx context.Context, partition int, old lease) (lease, error) {
	created, err := o.streamCreated(ctx)
	if err != nil {
		return lease{}, err
	}
	next := lease{
		Member: o.cfg.Member, Incarnation: o.incarnation, Previous: old.Generation, Stream: created, On: o.stream, Filter: o.cfg.Filter(partition),
	}
	if old.Stream.Equal(created) {
		next.Floor = old.Floor
	}
	if old.revision != 0 {
		next.Floor = max(next.Floor, o.ackFloor(ctx, partition, old.Generation))
	}
	if err := o.write(ctx, partition, &next, old.revision); err != nil {
		return next, err
	}
	next.Generation = next.revision
	if old.revision != 0 {
		// What the old owner acknowledged in the meantime need not come again.
		next.Floor = max(next.Floor, o.ackFloor(ctx, partition, old.Generation))
		if err := o.dropConsumers(ctx, partition, old.Generation, old.Previous); err != nil {
			return next, err
		}
	}
	next.Previous = 0 // the next renewal tells
	return next, o.makeConsumer(ctx, partition, next)
}

// streamCreated is when the stream was made. Somebody may delete it and make it again at any time.
func (o *owner) streamCreated(ctx context.Context) (time.Time, error) {
	stream, err := o.js.Stream(ctx, o.stream)
	if err != nil {
		return time.Time{}, fmt.Errorf("read stream %s: %w", o.stream, err)
	}
	return stream.CachedInfo().Created, nil
}

// dropConsumers deletes the consumers of generations that are over.
func (o *owner) dropConsumers(ctx context.Context, partition int, generations ...uint64) error {
	for _, g := range generations {
		if g == 0 {
			continue
		}
		name := o.consumerName(partition, g)
		if err := o.js.DeleteConsumer(ctx, o.stream, name); err != nil && !notFound(err) {
			return fmt.Errorf("delete consumer %s: %w", name, err)
		}
	}
	return nil
}

// makeConsumer makes a generation's consumer, from the floor on.
func (o *owner) makeConsumer(ctx context.Context, partition int, l lease) error {
	cfg := o.sub.s.consumerConfig(o.consumerName(partition, l.Generation), o.cfg.Filter(partition))
	cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, l.Floor+1
	// A consumer that nobody asks for anything belongs to a generation that nobody will come back to: a request to make it
	// that was on its way while we were cut off can arrive after the partition was taken. The lease has the floor.
	cfg.InactiveThreshold = max(5*time.Minute, 10*o.cfg.TTL)
	// What it knows is worth a file no more than it is: the owner's own account outlives a restart of the server, the lease
	// an end of both, and what is acknowledged above the lease's floor comes again then, seconds of it at most.
	cfg.MemoryStorage = true
	if _, err := o.js.CreateConsumer(ctx, o.stream, cfg); err != nil {
		return fmt.Errorf("make consumer %s: %w", cfg.Durable, err)
	}
	return nil
}

// ackFloor is the floor of a consumer, 0 if it is gone. Any other failure is 0 too: the lease has a floor of its own, and
// a lower one repeats more and loses nothing.
func (o *owner) ackFloor(ctx context.Context, partition int, generation uint64) uint64 {
	consumer, err := o.js.Consumer(ctx, o.stream, o.consumerName(partition, generation))
	if err != nil {
		return 0
	}
	return consumer.CachedInfo().AckFloor.Stream
}

// write stores a lease by compare-and-set and learns its revision. A write whose answer was lost may have been stored all
// the same: what is there now is then this very lease, or, when a lease is renewed, an earlier renewal of ours, which
// nobody else has touched since. A lease of ours that is there when we want to take one has a consumer of its own: the next
// attempt takes it over as it would anybody's.
func (o *owner) write(ctx context.Context, partition int, l *lease, revision uint64) error {
	key := o.leaseKey(partition)
	var err error
	if revision == 0 {
		l.revision, err = o.cfg.Bucket.Create(ctx, key, l.encode())
		if errors.Is(err, ErrKeyExists) {
			err = fmt.Errorf("%w: %w", ErrWrongRevision, err)
		}
	} else {
		l.revision, err = o.cfg.Bucket.Update(ctx, key, l.encode(), revision)
	}
	if !errors.Is(err, ErrWrongRevision) && !errors.Is(err, ErrUnavailable) {
		return err
	}
	entry, gerr := o.cfg.Bucket.Get(ctx, key)
	if gerr != nil || entry.Revision <= revision {
		return err
	}
	o.saw(&entry)
	if bytes.Equal(entry.Value, l.encode()) {
		l.revision = entry.Revision
		return nil
	}
	if there := parseLease(entry); l.Generation != 0 && there.Member == o.cfg.Member && there.Incarnation == o.incarnation {
		l.revision, err = o.cfg.Bucket.Update(ctx, key, l.encode(), entry.Revision)
	}
	return err
}
