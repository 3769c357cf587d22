package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// mostTraced bounds the messages that are traced.
const mostTraced = 20

// traces is what the bus and the ledger know, for telling what became of single messages.
type traces struct {
	// byID are the messages on the bus by their envelope's id; deliveries those about an intent.
	byID       map[string][]string
	deliveries map[string][]string
	ledger     *bus.Bucket
	began      time.Time
}

// readTraces reads all streams. It is only done for a run that is not good.
func (w *world) readTraces(ctx context.Context, conn *bus.Conn) (*traces, error) {
	t := &traces{byID: map[string][]string{}, deliveries: map[string][]string{}, began: w.began}
	for _, s := range topology.Streams() {
		err := replay.Each(ctx, conn.JetStream(), replay.Scan{Stream: s.Name}, func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
			line := fmt.Sprintf("%s #%d at %s, %s", s.Name, meta.Sequence.Stream, t.when(meta.Timestamp), m.Subject())
			if s.Name == topology.Deliveries.Name {
				e, err := envelope.Decode[dm.Delivery](m.Data())
				if err != nil {
					return false, err
				}
				t.deliveries[e.Data.IntentID] = append(t.deliveries[e.Data.IntentID], fmt.Sprintf("%s, mid %s, reason %q, attempts %s", line, e.Data.MID, e.Data.Reason, t.attempts(e.Data.Attempts)))
				return true, nil
			}
			id := m.Headers().Get("Nats-Msg-Id")
			if s.Name == topology.Dead.Name {
				id = m.Headers().Get(bus.DeadID)
				line += ", because " + m.Headers().Get(bus.DeadReason)
			}
			t.byID[id] = append(t.byID[id], line)
			return true, nil
		})
		if err != nil {
			return nil, err
		}
	}
	var err error
	t.ledger, err = bus.OpenBucket(ctx, conn, topology.Ledger.Name)
	return t, err
}

// when is a time as the schedule has it.
func (t *traces) when(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return fmt.Sprintf("%.3fs", at.Sub(t.began).Seconds())
}

func (t *traces) attempts(all []dm.Attempt) string {
	out := ""
	for _, a := range all {
		out += fmt.Sprintf("[%s for %d ms: HTTP %d %s] ", t.when(a.At), a.DurationMS, a.Status, a.Error)
	}
	return out
}

// write tells all that is known of a message.
func (t *traces) write(ctx context.Context, out io.Writer, f *finding) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, "    "+format+"\n", args...) }
	_, _ = fmt.Fprintf(out, "  %s: account %s, customer %s, %q\n", f.what, f.account, f.customer, f.text)
	if q := f.asked; q.MID != "" {
		line("mid       %s", q.MID)
		line("webhook   written %s, sent %s, accepted %s, %d attempts, last status %d", t.when(q.At), t.when(q.SentAt), t.when(q.AcceptedAt), q.Attempts, q.Status)
	}
	if f.reply.MID != "" {
		line("reply     %s, mid %s", t.when(f.reply.At), f.reply.MID)
	}
	if b := f.before; b.MID != "" {
		line("after the reply to %q, sent %s, accepted %s, event %s", b.Text, t.when(b.SentAt), t.when(b.AcceptedAt), eventID(f.account, b.MID))
	}
	event := eventID(f.account, f.mid)
	intent := dm.IntentID(event, 0)
	t.list(out, "event     ", event, t.byID[event])
	t.list(out, "intent    ", intent, t.byID[intent])
	t.list(out, "deliveries", "", t.deliveries[intent])
	key := topology.Token(intent) + ".0"
	entry, err := t.ledger.Get(ctx, key)
	switch {
	case errors.Is(err, bus.ErrKeyNotFound):
		line("ledger    nothing at %s", key)
	case err != nil:
		line("ledger    %v", err)
	default:
		line("ledger    %s, revision %d at %s: %s", key, entry.Revision, t.when(entry.Created), entry.Value)
	}
}

func (t *traces) list(out io.Writer, name, id string, found []string) {
	if len(found) == 0 {
		_, _ = fmt.Fprintf(out, "    %s %s not on the bus\n", name, id)
	}
	for _, f := range found {
		_, _ = fmt.Fprintf(out, "    %s %s %s\n", name, id, f)
	}
}

func eventID(account, mid string) string {
	return dm.EventID(dm.ChannelInstagram, account, dm.KindMessage, mid)
}
