package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// TrimConfig says when a stream is trimmed.
type TrimConfig struct {
	Stream string
	// Leases is the bucket of the ownerships, whose floors count as well as those of the stream's consumers.
	Leases *Bucket
	// Above is the share of its bound in bytes above which a stream is trimmed, To the share that it is brought back to.
	// Defaults 0.75 and 0.5.
	Above, To float64
}

// TrimResult is what Trim found and did.
type TrimResult struct {
	// Fill is the share of the stream's bound in bytes that was full before.
	Fill float64
	// Removed is how many messages were removed.
	Removed uint64
	// Wanted is the first sequence that somebody has not settled: nothing from there on is ever removed.
	Wanted uint64
}

// Trim removes a stream's oldest messages when it is nearly full, but only what every consumer and every owned partition
// has settled. It is what lets a stream that refuses new messages at its bound, and so never discards one unseen, keep
// what was settled for as long as there is room. Any process may call it, several at once too.
func Trim(ctx context.Context, conn *Conn, cfg TrimConfig) (TrimResult, error) {
	if cfg.Above <= 0 {
		cfg.Above = 0.75
	}
	if cfg.To <= 0 {
		cfg.To = 0.5
	}
	stream, err := OpenStream(ctx, conn.js, cfg.Stream)
	if err != nil {
		return TrimResult{}, fmt.Errorf("trim %s: %w", cfg.Stream, err)
	}
	info := stream.CachedInfo()
	if info.Config.MaxBytes <= 0 || info.State.Msgs == 0 {
		return TrimResult{}, nil
	}
	r := TrimResult{Fill: float64(info.State.Bytes) / float64(info.Config.MaxBytes)}
	if r.Fill < cfg.Above {
		return r, nil
	}
	if r.Wanted, err = firstWanted(ctx, stream, cfg.Leases); err != nil {
		return r, fmt.Errorf("trim %s: %w", cfg.Stream, err)
	}
	// Messages are about of one size, taken over a whole stream.
	surplus := uint64(float64(info.State.Msgs) * (1 - cfg.To/r.Fill))
	keep := min(info.State.FirstSeq+surplus, r.Wanted)
	if keep <= info.State.FirstSeq {
		return r, nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(keep)); err != nil {
		return r, fmt.Errorf("trim %s: %w", cfg.Stream, err)
	}
	r.Removed = keep - info.State.FirstSeq
	return r, nil
}

// firstWanted is the lowest sequence that some consumer or owned partition has not settled.
func firstWanted(ctx context.Context, stream jetstream.Stream, leases *Bucket) (uint64, error) {
	last := stream.CachedInfo().State.LastSeq
	wanted := last + 1
	consumers := stream.ListConsumers(ctx)
	for c := range consumers.Info() {
		if c.NumPending > 0 || c.NumAckPending > 0 {
			wanted = min(wanted, c.AckFloor.Stream+1)
		}
	}
	if err := consumers.Err(); err != nil {
		return 0, fmt.Errorf("list consumers: %w", err)
	}
	if leases == nil {
		return wanted, nil
	}
	created := stream.CachedInfo().Created
	err := leases.Each(ctx, func(e Entry) error {
		if !strings.Contains(e.Key, ".lease.") {
			return nil
		}
		l := parseLease(e)
		if l.On != stream.CachedInfo().Config.Name || !l.Stream.Equal(created) {
			return nil
		}
		next, err := stream.GetMsg(ctx, l.Floor+1, jetstream.WithGetMsgSubject(l.Filter))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil // the partition has nothing after its floor
		case err != nil:
			return fmt.Errorf("look behind the floor of %s: %w", e.Key, err)
		}
		wanted = min(wanted, next.Sequence)
		return nil
	})
	return wanted, err
}

// Each calls f with every present entry.
func (b *Bucket) Each(ctx context.Context, f func(Entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first error
	err := b.Watch(ctx, ">", func(e *Entry) {
		switch {
		case e == nil:
			cancel()
		case first == nil && !e.Deleted:
			first = f(*e)
		}
	})
	return errors.Join(first, err)
}
