package bus

import "context"

type contextKey struct{}

// delivery is what a message's context knows about where it came from.
type delivery struct {
	feed    *feed
	held    *held
	subject string
	seq     uint64
}

func deliveryOf(ctx context.Context) (delivery, bool) {
	d, ok := ctx.Value(contextKey{}).(delivery)
	return d, ok
}

// Draining is closed when the message's subscriber stops or hands its partition over: a handler that waits for something
// (another attempt, a rate limit) returns its error then, and the message comes again, here or elsewhere. nil, which
// blocks for ever, for a context that is not a message's.
func Draining(ctx context.Context) <-chan struct{} {
	if d, ok := deliveryOf(ctx); ok {
		return d.feed.draining
	}
	return nil
}

// waiting runs a wait without the message's slot among MaxInFlight: others go on meanwhile.
func waiting(ctx context.Context, f func() bool) bool {
	d, ok := deliveryOf(ctx)
	if !ok || !d.feed.sub.lanes.yield(d.held) {
		return f()
	}
	defer d.feed.sub.lanes.resume(d.held)
	return f()
}

// Owned says whether effects are still ours to have: [ErrLeaseLost] once the partition's lease is over by our own clock,
// whether or not anything has told us yet. Contexts that are not a message's are always fine.
func Owned(ctx context.Context) error {
	if d, ok := deliveryOf(ctx); ok && !d.feed.valid() {
		return ErrLeaseLost
	}
	return nil
}

// Subject is the subject that the context's message came on, and Sequence its place in the stream.
func Subject(ctx context.Context) string {
	d, _ := deliveryOf(ctx)
	return d.subject
}

// Sequence is the place in its stream of the context's message, 0 for other contexts.
func Sequence(ctx context.Context) uint64 {
	d, _ := deliveryOf(ctx)
	return d.seq
}
