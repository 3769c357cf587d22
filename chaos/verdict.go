package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
)

const (
	// patience is how long nothing may happen before what is missing is taken for lost: a message in doubt has a minute, and
	// a paused account another.
	patience = 2*time.Minute + 30*time.Second
	// linger is how long to wait for replies too many when everything is answered, and rowsWithin for the last row.
	linger     = 3 * time.Second
	rowsWithin = time.Minute
	// tracesWithin is how long the streams may be out of reach when they are read to explain.
	tracesWithin = 30 * time.Second
)

// settle waits until everything is answered, or nothing happens any more.
func (w *world) settle(ctx context.Context, written int) error {
	var seen totals
	last := time.Now()
	for {
		now, err := w.meta.totals(ctx)
		if err != nil {
			return err
		}
		if now != seen {
			seen, last = now, time.Now()
		}
		answered := seen.Accepted >= written && seen.Replies >= written && seen.Waiting == 0
		switch quiet := time.Since(last); {
		case answered && quiet >= linger, quiet >= patience:
			return nil
		case !answered && quiet >= 3*linger:
			// Perhaps what is missing has been given up, and there is nothing to wait for.
			settled, err := w.settled(ctx)
			if err != nil || settled >= written {
				return err
			}
		}
		if !wait(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// outcome is the verdict.
type outcome struct {
	judgement
	archive
	dead []deadletter.Letter
}

func (o *outcome) good() bool {
	return len(o.findings) == 0 && !o.behind() && len(o.surplus) == 0 && len(o.unknown) == 0 && len(o.failed) == 0 && len(o.dead) == 0
}

// verdict judges the run and says so; good is what the exit status is.
func (w *world) verdict(ctx context.Context) (good bool, err error) {
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: w.natsURL, Name: "chaos"})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	o, err := w.outcome(ctx, conn)
	if err != nil {
		return false, err
	}
	for _, m := range w.members {
		for _, p := range m.panics() {
			w.crash("%s", p)
		}
	}
	good = o.good() && len(w.crashes) == 0
	w.print(o)
	if good {
		w.say("GOOD: every message was answered exactly once, in order, and has its rows (seed %d)", w.o.seed)
		return true, nil
	}
	w.say("NOT GOOD (seed %d)", w.o.seed)
	return false, w.explain(ctx, conn, o)
}

// outcome collects what came of everything, once the rows have caught up.
func (w *world) outcome(ctx context.Context, conn *bus.Conn) (*outcome, error) {
	conversations, err := w.meta.conversations(ctx)
	if err != nil {
		return nil, err
	}
	o := &outcome{judgement: judge(conversations)}
	for deadline := time.Now().Add(rowsWithin); ; {
		rows, err := w.rows(ctx)
		if err != nil {
			return nil, err
		}
		o.archive = compare(conversations, rows)
		if !o.behind() || time.Now().After(deadline) {
			break
		}
		if !wait(ctx, 200*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
	err = deadletter.List(ctx, conn, deadletter.Filter{}, func(l deadletter.Letter) (bool, error) {
		o.dead = append(o.dead, l)
		return true, nil
	})
	return o, err
}

// print says the figures.
func (w *world) print(o *outcome) {
	w.say("messages in      %7d", o.in)
	w.say("answered once    %7d, the slowest after %s", o.once, o.slowest.Round(100*time.Millisecond))
	w.say("missing          %7d, and %d whose webhook was never accepted", o.counts[missing], o.counts[notAccepted])
	w.say("doubled          %7d, and %d replies that nobody asked for", o.counts[doubled], o.counts[unasked])
	w.say("out of order     %7d", o.counts[outOfOrder])
	w.say("rows             %7d in, %d out; %d missing, %d without a message, %d without an outcome", o.inbound, o.outbound, len(o.archive.missing), len(o.surplus), len(o.queued))
	w.say("left to a person %7d unknown, %d failed, %d dead letters", len(o.unknown), len(o.failed), len(o.dead))
	for _, n := range w.notes {
		w.say("note: %s", n)
	}
	for _, c := range w.crashes {
		w.say("WRONG: %s", c)
	}
}

// explain tells of a run that is not good all that is needed to understand it.
func (w *world) explain(ctx context.Context, conn *bus.Conn, o *outcome) error {
	t, err := w.readTraces(ctx, conn)
	for deadline := time.Now().Add(tracesWithin); err != nil && time.Now().Before(deadline) && wait(ctx, time.Second); { // a stream may choose a leader
		t, err = w.readTraces(ctx, conn)
	}
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	tell := func(format string, args ...any) { _, _ = fmt.Fprintf(w.out, format+"\n", args...) }
	tell("\nMessages that are wrong (times are seconds after the load began):")
	for i := range o.findings {
		if i == mostTraced {
			tell("  … and %d more", len(o.findings)-i)
			break
		}
		t.write(ctx, w.out, &o.findings[i])
	}
	few("Rows that are missing or wrong", o.archive.missing, tell)
	few("Rows without a message", o.surplus, tell)
	few("Rows without an outcome", told(o.queued, t), tell)
	few("Left to a person", told(append(o.unknown, o.failed...), t), tell)
	dead := make([]string, 0, len(o.dead))
	for _, l := range o.dead {
		dead = append(dead, fmt.Sprintf("%s #%d, %s after %d attempts: %s", l.Stage, l.Sequence, l.ID, l.Attempts, l.Reason))
	}
	few("Dead letters", dead, tell)
	tell("\nThe schedule as it happened is above; logs are in %s/log.", w.dir)
	return nil
}

// told describes replies by their rows and what is on the bus of them.
func told(rows []row, t *traces) []string {
	out := make([]string, 0, len(rows))
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s: account %s, customer %s, %q, intent %s: %s %v", r.Status, r.Account, r.Customer, r.Text, r.IntentID, r.Reason, t.deliveries[r.IntentID]))
	}
	return out
}

// few prints the first of a list.
func few(title string, list []string, tell func(format string, args ...any)) {
	if len(list) == 0 {
		return
	}
	tell("\n%s:", title)
	for i, s := range list {
		if i == mostTraced {
			tell("  … and %d more", len(list)-i)
			return
		}
		tell("  %s", s)
	}
}
