package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
)

// Scan says which messages of a stream to read.
type Scan struct {
	Stream   string
	Subjects []string
	// From is the first sequence and Since the earliest time; at most one of them. Neither: from the beginning.
	From  uint64
	Since time.Time
	// Until ends it at the first message that was stored then or later, Before at that with this sequence or a higher one; zero does not.
	Until  time.Time
	Before uint64
	// Rest is for how long to rest between two pages, in times of what the one before took: reading then costs one part in 1 + Rest
	// of what it does at full speed, and leaves the rest to those who answer. Zero reads at full speed.
	Rest int
}

// page is how many messages are asked for at once, idle how long the server may take for the first of them, and forget how
// long it keeps a consumer that nobody asks any more, where it could not be told.
const (
	page   = 500
	idle   = 5 * time.Second
	forget = 30 * time.Second
	// longestRest keeps a consumer from being forgotten while its reader rests.
	longestRest = forget / 3
)

// unheard is how long to wait before a consumer is asked again of which our server has not heard.
const unheard = 20 * time.Millisecond

// errStalled: the server promised messages that did not come. errLost: some did not, and later ones did.
var (
	errStalled = errors.New("nothing came for " + idle.String())
	errLost    = errors.New("something was lost on its way")
)

// Each calls f with each message, in order, until the last one that was there when it began, or that is to be read, or until f says
// no. It changes nothing in the stream.
func Each(ctx context.Context, js jetstream.JetStream, s Scan, f func(jetstream.Msg, *jetstream.MsgMetadata) (more bool, err error)) error {
	stream, err := bus.OpenStream(ctx, js, s.Stream)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	consumer, last, err := atLeader(ctx, stream, s.consumer())
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	defer remove(ctx, stream, consumer)
	r := &reading{Scan: s, consumer: consumer, last: last, left: consumer.CachedInfo().NumPending, since: time.Now()}
	for r.left > 0 {
		began := time.Now()
		if more, err := r.page(ctx, f); err != nil || !more {
			return err
		}
		if r.left > 0 {
			if err := rest(ctx, time.Duration(s.Rest)*time.Since(began)); err != nil {
				return err
			}
		}
	}
	return nil
}

// reading is how far a scan is.
type reading struct {
	Scan

	consumer jetstream.Consumer
	// last is the sequence of the last message to be read, left how many there are before it, seen how many were read.
	last, left, seen uint64
	since            time.Time
}

// page calls f with each of the next messages, and says whether to go on.
func (r *reading) page(ctx context.Context, f func(jetstream.Msg, *jetstream.MsgMetadata) (bool, error)) (more bool, err error) {
	batch, err := r.consumer.Fetch(min(page, int(r.left)), jetstream.FetchMaxWait(idle)) //nolint:gosec // bounded by page
	if err != nil {
		return false, fmt.Errorf("read stream %s: %w", r.Stream, err)
	}
	before := r.seen
	for msg := range batch.Messages() {
		r.left--
		meta, err := msg.Metadata()
		if err != nil {
			return false, fmt.Errorf("read stream %s: %w", r.Stream, err)
		}
		if r.seen++; meta.Sequence.Consumer != r.seen {
			return false, fmt.Errorf("read stream %s: %w: message %d came in the place of message %d", r.Stream, errLost, meta.Sequence.Consumer, r.seen)
		}
		if meta.Sequence.Stream > r.last || r.Before > 0 && meta.Sequence.Stream >= r.Before || !r.Until.IsZero() && !meta.Timestamp.Before(r.Until) {
			return false, nil
		}
		if more, err := f(msg, meta); err != nil || !more {
			return false, err
		}
	}
	err = batch.Error()
	switch {
	case errors.Is(err, nats.ErrNoResponders) && r.seen == 0 && time.Since(r.since) < idle:
		// One server of a cluster made the consumer a moment ago, and ours, another, has not heard of it yet.
		return true, rest(ctx, unheard)
	case err != nil:
		return false, fmt.Errorf("read stream %s: %w", r.Stream, err)
	case r.seen == before:
		return false, fmt.Errorf("read stream %s: %w: %d messages are missing", r.Stream, errStalled, r.left)
	}
	return true, nil
}

// consumer is what reads it.
func (s *Scan) consumer() jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		FilterSubjects: s.Subjects, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: forget, Replicas: 1, MemoryStorage: true,
	}
	switch {
	case s.From > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, s.From
	case !s.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &s.Since
	}
	return cfg
}

// rest waits, unless ctx ends before.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(min(d, longestRest))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
