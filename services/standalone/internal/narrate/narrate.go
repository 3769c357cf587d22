// Package narrate tells on a terminal what happens, one line for each thing: a message comes in, a rule decides, a reply
// goes out. It reads the bus as any client may.
//
// It shows the texts of messages, which is what the demo is for; nothing here is ever logged.
package narrate

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
)

const (
	// A terminal that is slow or stopped misses lines; nobody waits for it.
	buffered = 1024
	// remembered bounds the ids of events that tell a repetition from something new.
	remembered = 4096
)

// Narrator writes lines.
type Narrator struct {
	out    io.Writer
	events chan *nats.Msg
	subs   []*nats.Subscription
	seen   map[string]bool
	order  []string
}

// New subscribes to everything that happens; Run tells of it.
func New(nc *nats.Conn, out io.Writer) (*Narrator, error) {
	n := &Narrator{out: out, events: make(chan *nats.Msg, buffered), seen: map[string]bool{}}
	for _, subject := range []string{"dm.event.>", "dm.intent.>", "dm.delivery.>", "dm.dead.>"} {
		sub, err := nc.ChanSubscribe(subject, n.events)
		if err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		n.subs = append(n.subs, sub)
	}
	if err := nc.Flush(); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return n, nil
}

// Run writes a line for each thing until ctx ends.
func (n *Narrator) Run(ctx context.Context) error {
	defer func() {
		for _, s := range n.subs {
			_ = s.Unsubscribe()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-n.events:
			n.tell(m)
		}
	}
}

func (n *Narrator) tell(m *nats.Msg) {
	if len(m.Subject) > 8 && m.Subject[:8] == "dm.dead." {
		n.line("dead", dm.Conversation{}, "gave up on a message: "+m.Subject)
		return
	}
	if e, err := envelope.Decode[dm.Event](m.Data); err == nil {
		n.event(e.Data)
	} else if i, err := envelope.Decode[dm.ReplyIntent](m.Data); err == nil {
		n.intent(i.Data)
	} else if d, err := envelope.Decode[dm.Delivery](m.Data); err == nil {
		n.delivery(d.Data)
	}
}

func (n *Narrator) event(e dm.Event) {
	if e.Source == dm.SourceParley {
		n.made(&e)
		return
	}
	text := string(e.Kind)
	switch {
	case e.Kind == dm.KindEcho || e.Kind == dm.KindSeen || e.Kind == dm.KindEditNoop:
		return // they accompany every message
	case e.Kind == dm.KindMessage && e.Text != "":
		text = quote(e.Text)
	case e.MessageType != "":
		text = e.MessageType
	}
	if !e.KnownAccount {
		text += "  (of an account that is not answered for: " + printable(e.Account) + ")"
	}
	if n.again(e.ID) {
		text += "  (delivered again; it is not answered again)"
	}
	n.line("in", e.Conversation, text)
}

func (n *Narrator) intent(i dm.ReplyIntent) {
	who := string(i.Origin)
	if i.RuleName != "" {
		who = quote(i.RuleName)
	}
	text := ""
	for _, p := range i.Parts {
		if p.Text == "" {
			text += "(" + string(p.Kind) + ")"
		}
		text += p.Text
	}
	n.line("rule", i.Conversation, who+" → "+quote(text)+since(i.ReceivedAt, i.CreatedAt))
}

func (n *Narrator) delivery(d dm.Delivery) {
	text := string(d.Outcome)
	if d.Of > 1 {
		text += fmt.Sprintf(" part %d of %d", d.Part+1, d.Of)
	}
	if d.Reason != "" {
		text += ": " + printable(d.Reason)
	}
	n.line("out", d.Conversation, text+since(d.ReceivedAt, d.SentAt))
}

func (n *Narrator) line(kind string, c dm.Conversation, text string) {
	_, _ = fmt.Fprintf(n.out, "%s  %-4s  %-10s  %s\n", time.Now().Format("15:04:05.000"), kind, printable(c.Customer), text)
}

// again says whether an event was told before, and remembers it.
func (n *Narrator) again(id string) bool {
	if n.seen[id] {
		return true
	}
	n.seen[id] = true
	n.order = append(n.order, id)
	if len(n.order) > remembered {
		delete(n.seen, n.order[0])
		n.order = n.order[1:]
	}
	return false
}

// since is how long after its receipt something happened.
func since(received, then time.Time) string {
	if received.IsZero() || then.IsZero() {
		return ""
	}
	return fmt.Sprintf("  (%d ms)", max(then.Sub(received), 0).Milliseconds())
}
