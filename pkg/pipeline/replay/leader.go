package replay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
)

// placements is how many consumers are made to have one at the leader, where the servers put every third of them.
const placements = 30

// errElsewhere: no consumer was put where the stream's leader is.
var errElsewhere = errors.New("the servers do not let it be read at its leader: try again")

// atLeader makes a consumer where the stream's leader is, and says which message was the last one there. Of a stream with several copies
// the servers choose any for a consumer, also one that has just started and is behind: what it does not have yet would be taken for
// not said. So the same one must lead, without a break, before the consumer is made and after.
func atLeader(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig) (consumer jetstream.Consumer, last uint64, err error) {
	before := stream.CachedInfo()
	if !bus.FromLeader(before) {
		if before, err = bus.LeaderInfo(ctx, stream); err != nil {
			return nil, 0, err
		}
	}
	for range placements {
		consumer, err := create(ctx, stream, cfg)
		if err != nil || before.Config.Replicas <= 1 {
			return consumer, before.State.LastSeq, err
		}
		after, err := bus.LeaderInfo(ctx, stream)
		if err == nil && leads(consumer, before) && leads(consumer, after) && after.Cluster.LeaderSince.Equal(*before.Cluster.LeaderSince) {
			return consumer, before.State.LastSeq, nil
		}
		remove(ctx, stream, consumer)
		if err != nil {
			return nil, 0, err
		}
		before = after
	}
	return nil, 0, errElsewhere
}

// create makes a consumer, or fails when the server does not answer.
func create(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	return stream.CreateConsumer(ctx, cfg)
}

// leads says whether the leader has the consumer.
func leads(consumer jetstream.Consumer, info *jetstream.StreamInfo) bool {
	at := consumer.CachedInfo().Cluster
	return at != nil && at.Leader == info.Cluster.Leader
}

// remove removes a consumer; else it is forgotten by itself.
func remove(ctx context.Context, stream jetstream.Stream, consumer jetstream.Consumer) {
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = stream.DeleteConsumer(done, consumer.CachedInfo().Name)
}
