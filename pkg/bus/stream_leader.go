package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrLeaderless is returned where copies of a stream answer, and none that leads the others.
var ErrLeaderless = errors.New("no leader of the stream answers: try again")

// leaderPause is how long to wait before a stream is asked again that has no leader now, leaderTry how long one answer may take (without
// a leader there is none at all), and leaderWait how long that goes on.
const (
	leaderPause = 50 * time.Millisecond
	leaderTry   = time.Second
	leaderWait  = 5 * time.Second
)

// OpenStream opens a stream that exists. No answer comes from a server that goes away, nor of a stream without a leader: it is not waited
// for as long as ctx lasts.
func OpenStream(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return js.Stream(ctx, name)
}

// LeaderInfo is how a stream stands, as the leader of its copies has it. Of a stream that is new, or has no leader for a moment, the
// server lets other copies answer too, also one that is behind: what it does not have yet would be taken for not said.
func LeaderInfo(ctx context.Context, stream jetstream.Stream, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	for began := time.Now(); ; {
		try, cancel := context.WithTimeout(ctx, leaderTry)
		info, err := stream.Info(try, options...)
		cancel()
		waited := time.Since(began) > leaderWait
		switch {
		case err == nil && FromLeader(info):
			return info, nil
		case err == nil && waited:
			return nil, ErrLeaderless
		case err != nil && (waited || !errors.Is(err, context.DeadlineExceeded)):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(leaderPause):
		}
	}
}

// FromLeader says whether an answer is the leader's: it alone tells since when it leads, and only once it has all that was acknowledged
// before. The one copy of a stream that has no others needs no leader.
func FromLeader(info *jetstream.StreamInfo) bool {
	return info.Config.Replicas <= 1 || info.Cluster != nil && info.Cluster.LeaderSince != nil
}
