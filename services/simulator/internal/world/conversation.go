package world

import (
	"encoding/json"
	"fmt"
	"time"
)

// Kind says what a message holds.
type Kind string

// The kinds of message that the world itself tells apart. Customers' other kinds are named by package play.
const (
	KindText Kind = "text"
	// KindRich is a reply that is more than a text; Content holds it.
	KindRich Kind = "rich"
)

// State is how far the webhook about a customer's message has come.
type State string

// The states of a webhook.
const (
	StateWaiting  State = "waiting"  // not sent yet
	StateAccepted State = "accepted" // answered with 200
	StateRetrying State = "retrying" // answered with something else, or not at all; it will be sent again
	StateRefused  State = "refused"  // the same, for good
	StateWithheld State = "withheld" // never sent: by a fault, or because nobody is subscribed
)

// Message is one direct message.
type Message struct {
	MID string `json:"mid"`
	Key
	FromCustomer bool   `json:"from_customer"`
	Kind         Kind   `json:"kind"`
	Text         string `json:"text,omitempty"`
	// Content is the message object of a reply that is more than a text, as it was sent, or what a customer's message holds
	// beside its text.
	Content json.RawMessage `json:"content,omitempty"`
	// App: the account wrote it in the Instagram app and not over the API. Quiet: no reply to it is expected.
	App   bool `json:"app,omitempty"`
	Quiet bool `json:"quiet,omitempty"`
	// Unordered: a fault made its webhook come out of its order, so that its reply may, too.
	Unordered bool `json:"unordered,omitempty"`
	// Expect is the text that must answer it; empty when any will do.
	Expect string    `json:"expect,omitempty"`
	At     time.Time `json:"at"`
	// SentAt is when its webhook was sent first; zero for replies.
	SentAt time.Time `json:"sent_at,omitzero"`
	// AcceptedAt is when its webhook was first answered with 200. What is sent after that comes after it.
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	State      State     `json:"state,omitempty"`
	Status     int       `json:"status,omitempty"` // the last answer's HTTP status, 0 when there was none
	Attempts   int       `json:"attempts,omitempty"`
	// LatencyMS is, on a reply, the time since the customer's message that it answers; -1 when there is none.
	LatencyMS int64 `json:"latency_ms"`
	// ReplyTo is the mid that the message quotes.
	ReplyTo string `json:"reply_to,omitempty"`
	// Deleted, Edits and Reaction are what was done to it afterwards.
	Deleted  bool   `json:"deleted,omitempty"`
	Edits    int    `json:"edits,omitempty"`
	Reaction string `json:"reaction,omitempty"`
	// wall is when it was recorded by the machine's clock, by which waits are measured.
	wall time.Time
}

type conversation struct {
	key  Key
	name string
	log  []Message
	// base is the sequence number of log[0]; it is above zero once old messages were dropped.
	base  int
	shown bool
	// judged: the customer wrote through the simulator, so what is received is compared with what was sent.
	judged bool
	// known: created by the simulator; others were first met as the recipient of a reply.
	known bool
	// lastWrote is when the customer last wrote, by Meta's clock.
	lastWrote time.Time
	// unanswered holds the indices (as sequence numbers) of messages without a reply, oldest first.
	unanswered []int
	seenAt     time.Time
	typing     bool
	// away: another app owns the thread.
	away bool
	// notes are what happened beside messages; the phone shows them.
	notes []Message
}

func (w *World) conversation(k Key) *conversation { return w.conversations[k] }

func (w *World) create(k Key) (*conversation, error) {
	if len(w.conversations) >= w.opts.MaxConversations {
		return nil, fmt.Errorf("%d conversations: %w", len(w.conversations), ErrFull)
	}
	c := &conversation{key: k, name: nameOf(k.Customer)}
	w.conversations[k] = c
	return c, nil
}

// append records a message and returns it with its id.
func (w *World) append(c *conversation, m Message) Message {
	seq := c.base + len(c.log)
	m.Key = c.key
	m.MID = encodeMID(w.nonce, c.key, seq)
	m.wall = time.Now()
	c.log = append(c.log, m)
	if !c.judged && len(c.log) > 2*unjudgedKept {
		drop := len(c.log) - unjudgedKept
		c.log = append(c.log[:0:0], c.log[drop:]...)
		c.base += drop
	}
	if c.judged {
		w.judged++
	}
	return m
}

func (c *conversation) at(seq int) *Message {
	if seq < c.base || seq >= c.base+len(c.log) {
		return nil
	}
	return &c.log[seq-c.base]
}

// Saying is something that a customer does.
type Saying struct {
	Key
	Text   string
	Expect string
	// Kind is KindText if empty.
	Kind Kind
	// Age moves the message into the past, for what comes late.
	Age time.Duration
	// ReplyTo is the mid that is quoted.
	ReplyTo string
	// Content is what the phone shows beside the text.
	Content json.RawMessage
	// Quiet: no reply is expected.
	Quiet bool
	// Show opens the conversation on the phone page.
	Show bool
}

// Say records a customer's message; the caller delivers its webhook.
func (w *World) Say(s Saying) (Message, error) {
	if _, err := w.Account(s.Account); err != nil {
		return Message{}, err
	}
	if s.Kind == "" {
		s.Kind = KindText
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.judged >= w.opts.MaxMessages {
		return Message{}, ErrFull
	}
	c := w.conversation(s.Key)
	if c == nil {
		var err error
		if c, err = w.create(s.Key); err != nil {
			return Message{}, err
		}
	}
	c.known, c.judged = true, true
	if s.Show {
		w.show(c)
	}
	now := w.opts.Now()
	at := now.Add(-s.Age)
	if at.After(c.lastWrote) {
		c.lastWrote = at
	}
	m := w.append(c, Message{
		FromCustomer: true, Kind: s.Kind, Text: s.Text, Content: s.Content, Expect: s.Expect, At: at, State: StateWaiting,
		ReplyTo: s.ReplyTo, Quiet: s.Quiet || c.away,
	})
	if !m.Quiet {
		c.unanswered = append(c.unanswered, c.base+len(c.log)-1)
	}
	w.totals.Sent++
	w.tell(c, Update{Type: UpdateMessage, Message: &m})
	return m, nil
}

// Reply is what the account sends.
type Reply struct {
	Key
	Kind    Kind
	Text    string
	Content json.RawMessage
	ReplyTo string
	// App: written in the Instagram app. Such a message answers nothing that is judged.
	App bool
}

// Receive records a reply at a customer's. A customer that the simulator never met is created.
func (w *World) Receive(r Reply) (Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(r.Key)
	if c == nil {
		var err error
		if c, err = w.create(r.Key); err != nil {
			return Message{}, err
		}
	}
	now := w.opts.Now()
	latency := int64(-1)
	if len(c.unanswered) > 0 && !r.App {
		if asked := c.at(c.unanswered[0]); asked != nil {
			latency = max(time.Since(since(asked)).Milliseconds(), 0)
		}
		if c.unanswered = c.unanswered[1:]; len(c.unanswered) == 0 {
			c.unanswered = nil
		}
	}
	c.typing = false
	m := w.append(c, Message{Kind: r.Kind, Text: r.Text, Content: r.Content, At: now, LatencyMS: latency, ReplyTo: r.ReplyTo, App: r.App})
	if !r.App {
		w.totals.Replies++
	}
	w.tell(c, Update{Type: UpdateMessage, Message: &m})
	return m, nil
}

// since is when a message began to wait for its reply: when its webhook was first sent.
func since(m *Message) time.Time {
	if m.SentAt.IsZero() {
		return m.wall
	}
	return m.SentAt
}

// Delivered tells how an attempt at a message's webhook went.
func (w *World) Delivered(mid string, state State, status int, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, m := w.find(mid)
	if m == nil {
		return // the world was reset meanwhile
	}
	if m.SentAt.IsZero() && state != StateWithheld {
		m.SentAt = began
	}
	if m.State != StateAccepted {
		m.State, m.Status = state, status
	}
	if state == StateWithheld {
		w.totals.Withheld++
	} else {
		m.Attempts++
	}
	switch state {
	case StateAccepted:
		w.totals.Accepted++
		if m.AcceptedAt.IsZero() {
			m.AcceptedAt = w.opts.Now()
		}
	case StateRetrying, StateRefused:
		w.totals.Refused++
	default: // not posted
	}
	if c.shown {
		copied := *m
		w.tell(c, Update{Type: UpdateDelivery, Message: &copied})
	}
}

// Sending tells that the first attempt at a message's webhook begins now: its reply may come before the attempt is over.
func (w *World) Sending(mid string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, m := w.find(mid); m != nil && m.SentAt.IsZero() {
		m.SentAt = at
	}
}

// Unordered tells that a message's webhook comes out of its order.
func (w *World) Unordered(mid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, m := w.find(mid); m != nil {
		m.Unordered = true
	}
}

// find looks a message up by its mid.
func (w *World) find(mid string) (*conversation, *Message) {
	nonce, key, seq, err := decodeMID(mid)
	if err != nil || nonce != w.nonce {
		return nil, nil
	}
	c := w.conversation(key)
	if c == nil {
		return nil, nil
	}
	m := c.at(seq)
	return c, m
}
