package topology

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// metadata keys of our streams.
const metaPartitions = "parley.partitions"

// Options says how to make what is missing.
type Options struct {
	// Replicas of each stream and bucket; 1 if 0. Changing it changes the streams that exist.
	Replicas int
	// Partitions for streams that are made now; DefaultPartitions if 0. Existing streams keep theirs.
	Partitions int
}

// Ensure makes the streams and buckets that are missing and brings the others up to date; it is safe to run by every
// process at once. It returns the number of partitions that the streams were made with.
func Ensure(ctx context.Context, js jetstream.JetStream, o Options) (partitions int, err error) {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Partitions == 0 {
		o.Partitions = DefaultPartitions
	}
	partitions, err = keptPartitions(ctx, js, o.Partitions)
	if err != nil {
		return 0, err
	}
	for _, s := range Streams() {
		if err := ensureStream(ctx, js, s.config(o.Replicas, partitions)); err != nil {
			return 0, err
		}
	}
	for _, b := range Buckets() {
		cfg := jetstream.KeyValueConfig{Bucket: b.Name, Description: b.Description, TTL: b.TTL, History: 1, Storage: jetstream.FileStorage, Replicas: o.Replicas}
		if _, err := js.CreateOrUpdateKeyValue(ctx, cfg); err != nil {
			return 0, fmt.Errorf("make bucket %s: %w", b.Name, err)
		}
	}
	return partitions, nil
}

func (s Stream) config(replicas, partitions int) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name: s.Name, Description: s.Description, Subjects: []string{s.Subjects}, Retention: jetstream.LimitsPolicy,
		// At its bound a stream refuses new messages, which their publisher then keeps; it never discards old ones unseen.
		Discard: jetstream.DiscardNew, MaxAge: s.MaxAge, MaxBytes: s.MaxBytes, Storage: jetstream.FileStorage,
		Replicas: replicas, Duplicates: Window, AllowDirect: true, Metadata: map[string]string{},
	}
	if s.Partitioned {
		cfg.Metadata[metaPartitions] = strconv.Itoa(partitions)
	}
	return cfg
}

// keptPartitions is the number that an existing stream was made with, or else wanted.
func keptPartitions(ctx context.Context, js jetstream.JetStream, wanted int) (int, error) {
	stream, err := js.Stream(ctx, Events.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return wanted, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read stream %s: %w", Events.Name, err)
	}
	kept, err := strconv.Atoi(stream.CachedInfo().Config.Metadata[metaPartitions])
	if err != nil || kept < 1 {
		return 0, fmt.Errorf("stream %s: metadata %s is %q, expected a number of partitions", Events.Name, metaPartitions, stream.CachedInfo().Config.Metadata[metaPartitions])
	}
	return kept, nil
}

// ensureStream creates or updates a stream. Of several processes that start at once one creates it and the others find it.
func ensureStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	existing, err := js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err = js.CreateStream(ctx, cfg); err == nil {
			return nil
		}
		existing, err = js.Stream(ctx, cfg.Name)
	}
	if err != nil {
		return fmt.Errorf("make stream %s: %w", cfg.Name, err)
	}
	if upToDate(existing.CachedInfo().Config, cfg) {
		return nil
	}
	// An operator may have raised the bounds of a stream; they are not taken back.
	cfg.MaxBytes = max(cfg.MaxBytes, existing.CachedInfo().Config.MaxBytes)
	cfg.MaxAge = max(cfg.MaxAge, existing.CachedInfo().Config.MaxAge)
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("update stream %s: %w", cfg.Name, err)
	}
	return nil
}

func upToDate(have, want jetstream.StreamConfig) bool {
	return have.Description == want.Description && len(have.Subjects) == 1 && have.Subjects[0] == want.Subjects[0] && have.Discard == want.Discard &&
		have.MaxAge >= want.MaxAge && have.MaxBytes >= want.MaxBytes && have.Replicas == want.Replicas && have.Duplicates == want.Duplicates &&
		have.Metadata[metaPartitions] == want.Metadata[metaPartitions]
}
