package bus

import (
	"context"
	"time"
)

type contextKey struct{}

// heldOf is the message that a context belongs to, nil for other contexts.
func heldOf(ctx context.Context) *held {
	h, _ := ctx.Value(contextKey{}).(*held)
	return h
}

// Draining is closed when the message's subscriber stops or hands its partition over: a handler that waits for something
// (another attempt, a rate limit) returns its error then, and the message comes again, here or elsewhere. nil, which
// blocks for ever, for a context that is not a message's.
func Draining(ctx context.Context) <-chan struct{} {
	if h := heldOf(ctx); h != nil {
		return h.feed.draining
	}
	return nil
}

// waiting runs a wait without the message's slot among MaxInFlight: others go on meanwhile.
func waiting(ctx context.Context, f func() bool) bool {
	h := heldOf(ctx)
	if h == nil || !h.feed.sub.lanes.yield(h) {
		return f()
	}
	defer h.feed.sub.lanes.resume(h)
	return f()
}

// Pause waits, in the message's lane and without its slot among MaxInFlight. false when the subscriber drains, or ctx ends,
// before the time is over.
func Pause(ctx context.Context, d time.Duration) bool {
	return waiting(ctx, func() bool { return wait(ctx, d) })
}

// Aside runs a wait of a handler, for a rate limit or the like and not for nothing, without the message's slot among MaxInFlight: others go on
// meanwhile, and the message keeps its lane.
func Aside(ctx context.Context, wait func() error) error {
	var err error
	waiting(ctx, func() bool { err = wait(); return err == nil })
	return err
}

// Beside is a context for a message that did not come by the subscription: that of the work that an [Ownership] has beside
// its handlers, which handler it goes to, and the subject and the sequence that the message had in its own stream.
func Beside(ctx context.Context, handler, subject string, sequence uint64) context.Context {
	h := heldOf(ctx)
	if h == nil {
		return ctx
	}
	return &lazyContext{Context: ctx, held: &held{feed: h.feed, handler: handler, subject: subject, seq: sequence}}
}

// Owned says whether effects are still ours to have: [ErrLeaseLost] once the partition's lease is over by our own clock,
// whether or not anything has told us yet. Contexts that are not a message's are always fine.
func Owned(ctx context.Context) error {
	if h := heldOf(ctx); h != nil && !h.feed.valid() {
		return ErrLeaseLost
	}
	return nil
}

// Subject is the subject that the context's message came on, and Sequence its place in the stream.
func Subject(ctx context.Context) string {
	if h := heldOf(ctx); h != nil {
		return h.subject
	}
	return ""
}

// Sequence is the place in its stream of the context's message, 0 for other contexts.
func Sequence(ctx context.Context) uint64 {
	if h := heldOf(ctx); h != nil {
		return h.seq
	}
	return 0
}
