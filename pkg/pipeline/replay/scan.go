package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Scan says which messages of a stream to read.
type Scan struct {
	Stream   string
	Subjects []string
	// From is the first sequence and Since the earliest time; at most one of them. Neither: from the beginning.
	From  uint64
	Since time.Time
}

// page is how many messages are asked for at once, idle how long the server may take for the first of them, and forget how
// long it keeps a consumer that nobody asks any more, where it could not be told.
const (
	page   = 500
	idle   = 5 * time.Second
	forget = 30 * time.Second
)

// errStalled: the server promised messages that did not come.
var errStalled = errors.New("nothing came for " + idle.String())

// Each calls f with each message, in order, until the last one that was there when it began, or until f says no. It
// changes nothing in the stream.
func Each(ctx context.Context, js jetstream.JetStream, s Scan, f func(jetstream.Msg, *jetstream.MsgMetadata) (more bool, err error)) error {
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	last := stream.CachedInfo().State.LastSeq
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: s.Subjects, DeliverPolicy: jetstream.DeliverAllPolicy, InactiveThreshold: forget}
	switch {
	case s.From > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, s.From
	case !s.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &s.Since
	}
	consumer, err := js.OrderedConsumer(ctx, s.Stream, cfg)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	defer func() {
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = stream.DeleteConsumer(done, consumer.CachedInfo().Name) // else it is forgotten by itself
	}()
	// An ordered consumer that has to begin anew counts what is pending from there; what we saw ourselves counts too.
	for left := info.NumPending; left > 0; {
		batch, err := consumer.Fetch(min(page, int(left)), jetstream.FetchMaxWait(idle)) //nolint:gosec // bounded by page
		if err != nil {
			return fmt.Errorf("read stream %s: %w", s.Stream, err)
		}
		got := 0
		for msg := range batch.Messages() {
			got++
			left--
			meta, err := msg.Metadata()
			if err != nil {
				return fmt.Errorf("read stream %s: %w", s.Stream, err)
			}
			if meta.Sequence.Stream > last {
				return nil
			}
			if more, err := f(msg, meta); err != nil || !more {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("read stream %s: %w", s.Stream, err)
		}
		if got == 0 {
			return fmt.Errorf("read stream %s: %w: %d messages are missing", s.Stream, errStalled, left)
		}
	}
	return nil
}
