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
	// Until ends it at the first message that was stored then or later; zero does not.
	Until time.Time
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
	// placements is how many consumers are made to have one at the leader, where the servers put every third of them.
	placements = 30
	// longestRest keeps a consumer from being forgotten while its reader rests.
	longestRest = forget / 3
)

// errElsewhere: no consumer was put where the stream's leader is.
var errElsewhere = errors.New("the servers do not let it be read at its leader: try again")

// errStalled: the server promised messages that did not come. errLost: some did not, and later ones did.
var (
	errStalled = errors.New("nothing came for " + idle.String())
	errLost    = errors.New("something was lost on its way")
)

// Each calls f with each message, in order, until the last one that was there when it began, or that is to be read, or until f says
// no. It changes nothing in the stream.
func Each(ctx context.Context, js jetstream.JetStream, s Scan, f func(jetstream.Msg, *jetstream.MsgMetadata) (more bool, err error)) error {
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	last := stream.CachedInfo().State.LastSeq
	consumer, err := atLeader(ctx, stream, s.consumer())
	if err != nil {
		return fmt.Errorf("read stream %s: %w", s.Stream, err)
	}
	defer remove(ctx, stream, consumer)
	seen := uint64(0)
	for left := consumer.CachedInfo().NumPending; left > 0; {
		began := time.Now()
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
			if seen++; meta.Sequence.Consumer != seen {
				return fmt.Errorf("read stream %s: %w: message %d came in the place of message %d", s.Stream, errLost, meta.Sequence.Consumer, seen)
			}
			if meta.Sequence.Stream > last || !s.Until.IsZero() && !meta.Timestamp.Before(s.Until) {
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
		if left > 0 {
			if err := rest(ctx, time.Duration(s.Rest)*time.Since(began)); err != nil {
				return err
			}
		}
	}
	return nil
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

// atLeader makes a consumer where the stream's leader is. Of a stream with several copies the servers choose any for a consumer,
// also one that has just started and is behind: what it does not have yet would be taken for not said.
func atLeader(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	for range placements {
		consumer, err := stream.CreateConsumer(ctx, cfg)
		if err != nil || stream.CachedInfo().Config.Replicas <= 1 {
			return consumer, err
		}
		leading, err := stream.Info(ctx)
		if at := consumer.CachedInfo().Cluster; err == nil && at != nil && leading.Cluster != nil && at.Leader == leading.Cluster.Leader {
			return consumer, nil
		}
		remove(ctx, stream, consumer)
		if err != nil {
			return nil, err
		}
	}
	return nil, errElsewhere
}

// remove removes a consumer; else it is forgotten by itself.
func remove(ctx context.Context, stream jetstream.Stream, consumer jetstream.Consumer) {
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = stream.DeleteConsumer(done, consumer.CachedInfo().Name)
}
