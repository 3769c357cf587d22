package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// markerTTL is how long it is remembered, for those who watch, that a value's time was over.
const markerTTL = time.Hour

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
	partitions = o.Partitions
	for _, s := range Streams() {
		have, err := ensureStream(ctx, js, s.config(o.Replicas, partitions))
		if err != nil {
			return 0, err
		}
		if s.Partitioned {
			// What the first was made with, by us or by whoever was faster, holds for all.
			if partitions, err = keptPartitions(have); err != nil {
				return 0, err
			}
		}
	}
	for _, b := range Buckets() {
		cfg := jetstream.KeyValueConfig{Bucket: b.Name, Description: b.Description, TTL: b.TTL, History: 1, Storage: jetstream.FileStorage, Replicas: o.Replicas}
		if b.Each {
			cfg.LimitMarkerTTL = markerTTL
		}
		if err := ensureBucket(ctx, js, cfg); err != nil {
			return 0, fmt.Errorf("make bucket %s: %w", b.Name, err)
		}
	}
	return partitions, nil
}

// ensureBucket leaves a bucket alone that is as it should be: every start of every process passes here.
func ensureBucket(ctx context.Context, js jetstream.JetStream, want jetstream.KeyValueConfig) error {
	kv, err := js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		if kv, err = js.CreateKeyValue(ctx, want); errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = js.KeyValue(ctx, want.Bucket)
		}
	}
	if err != nil {
		return err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	have := status.Config()
	if have.Description == want.Description && have.TTL == want.TTL && have.History == want.History && have.LimitMarkerTTL == want.LimitMarkerTTL && have.Replicas == want.Replicas {
		return nil
	}
	_, err = js.UpdateKeyValue(ctx, want)
	return err
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

// Partitions is the number that the streams were made with, for those who publish and make no streams.
func Partitions(ctx context.Context, js jetstream.JetStream) (int, error) {
	stream, err := js.Stream(ctx, Events.Name)
	if err != nil {
		return 0, fmt.Errorf("read stream %s: %w", Events.Name, err)
	}
	return keptPartitions(stream.CachedInfo().Config)
}

// keptPartitions is the number that a stream was made with.
func keptPartitions(have jetstream.StreamConfig) (int, error) {
	kept, err := strconv.Atoi(have.Metadata[metaPartitions])
	if err != nil || kept < 1 {
		return 0, fmt.Errorf("stream %s: metadata %s is %q, expected a number of partitions", have.Name, metaPartitions, have.Metadata[metaPartitions])
	}
	return kept, nil
}

// ensureStream creates or updates a stream and returns what it is now. Of several processes that start at once one creates
// it and the others find it.
func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if stream, err = js.CreateStream(ctx, want); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return want, fmt.Errorf("make stream %s: %w", want.Name, err)
	}
	have := stream.CachedInfo().Config
	next := updated(have, want)
	if same(have, next) {
		return have, nil
	}
	if _, err := js.UpdateStream(ctx, next); err != nil {
		return have, fmt.Errorf("update stream %s: %w", want.Name, err)
	}
	return next, nil
}

// updated is what an existing stream should be: as we want it, but for its bounds, which an operator may have raised, its
// partitions, which cannot change, and whatever else an operator has set.
func updated(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	next := have
	next.Description, next.Subjects, next.Discard, next.Duplicates, next.Replicas = want.Description, want.Subjects, want.Discard, want.Duplicates, want.Replicas
	next.MaxBytes = max(want.MaxBytes, have.MaxBytes)
	next.MaxAge = max(want.MaxAge, have.MaxAge)
	return next
}

func same(a, b jetstream.StreamConfig) bool {
	return a.Description == b.Description && slices.Equal(a.Subjects, b.Subjects) && a.Discard == b.Discard && a.MaxAge == b.MaxAge &&
		a.MaxBytes == b.MaxBytes && a.Replicas == b.Replicas && a.Duplicates == b.Duplicates
}
