package main

import (
	"context"
	"fmt"
	"time"
)

// mostWaiting bounds the webhooks that wait to be accepted: beyond it customers write no more until some were.
const mostWaiting = 20_000

// say and answer are a customer's nth message and the reply that it must get. No two of a customer are alike, so that every
// reply is known to be of its message.
func say(n int) string    { return fmt.Sprintf("say %d", n) }
func answer(n int) string { return fmt.Sprintf("answer %d", n) }

// customer is the id of the nth customer, and whom they write to.
func (o options) customer(n int) (shop, id string) {
	return account(n % o.accounts), fmt.Sprintf("70%06d", n)
}

// load has every customer write, one message of each in turn, at the rate. It returns how many were written.
func (w *world) load(ctx context.Context) (written int, err error) {
	begin := time.Now()
	looked := begin
	for round := range w.o.messages {
		for n := range w.o.customers {
			due := begin.Add(time.Duration(float64(written) / w.o.rate * float64(time.Second)))
			if !wait(ctx, time.Until(due)) {
				return written, ctx.Err()
			}
			if time.Since(looked) > time.Second {
				if err := w.room(ctx); err != nil {
					return written, err
				}
				looked = time.Now()
			}
			account, id := w.o.customer(n)
			if err := w.meta.say(ctx, account, id, say(round), answer(round)); err != nil {
				return written, err
			}
			written++
		}
	}
	return written, nil
}

// room waits until not too many webhooks wait.
func (w *world) room(ctx context.Context) error {
	for {
		t, err := w.meta.totals(ctx)
		if err != nil || t.Waiting < mostWaiting {
			return err
		}
		if !wait(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// progress says every few seconds how far the load has come.
func (w *world) progress(ctx context.Context) {
	for wait(ctx, 10*time.Second) {
		if t, err := w.meta.totals(ctx); err == nil {
			w.say("sent %d of %d, accepted %d, answered %d", t.Sent, w.o.customers*w.o.messages, t.Accepted, t.Replies)
		}
	}
}

// wait pauses; false when ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
