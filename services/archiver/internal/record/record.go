// Package record turns envelopes into rows. It is pure: it knows no database and no clock.
//
// What one envelope says of a message is a [Message] with some of its sections filled. Merging two of them is commutative,
// associative and idempotent, and a row is a function of the merged message alone. That is why the archiver may meet
// envelopes in any order, any number of times, and end with the same rows.
package record

import (
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// ID is a row's primary key.
type ID = [16]byte

// Facts is what one envelope says.
type Facts struct {
	// Conversation is nil where the envelope belongs to none.
	Conversation *Conversation
	Messages     []Message
	// Event is set for what is kept raw, Contact for what is known of a customer.
	Event   *Event
	Contact *Contact
}

// Size counts the rows that are touched.
func (f Facts) Size() int {
	n := len(f.Messages)
	if f.Event != nil {
		n++
	}
	if f.Contact != nil {
		n++
	}
	return max(n, 1)
}

// Conversation is what is known of a conversation. A zero time says nothing.
type Conversation struct {
	Key dm.Conversation
	// First is the earliest time known, Updated when something last reached us, Last the newest message's time, and ReadAt
	// until when the customer has read. LastIn is the time of the customer's newest message, LastOut when something was last
	// provably sent to them.
	First, Updated, Last, ReadAt, LastIn, LastOut time.Time
}

// ID is the conversation's row, unless somebody made one by hand.
func (c *Conversation) ID() ID {
	return dm.RowID("conversation", string(c.Key.Channel), c.Key.Account, c.Key.Customer)
}

// Merge adds what other says of the same conversation.
func (c *Conversation) Merge(other *Conversation) {
	c.First = earliest(c.First, other.First)
	c.Updated = latest(c.Updated, other.Updated)
	c.Last = latest(c.Last, other.Last)
	c.ReadAt = latest(c.ReadAt, other.ReadAt)
	c.LastIn, c.LastOut = latest(c.LastIn, other.LastIn), latest(c.LastOut, other.LastOut)
}

// Outbound is the row of one message of an intent.
func Outbound(intentID string, part int) ID {
	return dm.RowID("outbound", intentID, strconv.Itoa(part))
}

// FromEvent says what an event tells.
func FromEvent(e *dm.Event) Facts {
	clean(e)
	at, received := instant(e.Time, e.ReceivedAt), instant(e.ReceivedAt, e.Time)
	conversation := &Conversation{Key: e.Conversation, First: at, Updated: received}
	m := Message{Conversation: e.Conversation, MID: e.MID}
	switch e.Kind {
	case dm.KindMessage, dm.KindPostback, dm.KindEcho, dm.KindSelf, dm.KindStandby:
		m.Said = said(e, at, received)
		if m.MID == "" {
			m.ID = dm.RowID("message", e.ID)
		}
		conversation.Last = at
		if m.outbound() {
			conversation.LastOut = at
		} else {
			conversation.LastIn = at
		}
	case dm.KindEdit:
		text := newText(e.Text)
		m.Edits = []Edit{{Number: e.Edits, Text: text.Clean, Original: text.Original, At: at, EventID: e.ID}}
	case dm.KindDelete:
		m.DeletedAt = at
	case dm.KindReaction, dm.KindUnreaction:
		m.Reaction = &Reaction{Reaction: e.Reaction, Emoji: e.Emoji, Removed: e.Kind == dm.KindUnreaction, At: at, EventID: e.ID}
	case dm.KindSeen:
		if e.Customer == "" || e.Own {
			return Facts{Event: newEvent(e, at, received)}
		}
		conversation.ReadAt = at
		return Facts{Conversation: conversation}
	case dm.KindProfile:
		if e.Customer == "" || e.Profile == nil {
			return Facts{Event: newEvent(e, at, received)}
		}
		return Facts{Contact: contact(e)}
	default:
		return Facts{Event: newEvent(e, at, received)}
	}
	switch {
	case m.Said != nil && e.Customer == "", m.Said == nil && m.MID == "":
		return Facts{Event: newEvent(e, at, received)}
	case e.Customer == "":
		// A change of a message that is named, though not whose it is: Meta sends these too.
		return Facts{Messages: []Message{m}}
	default:
		return Facts{Conversation: conversation, Messages: []Message{m}}
	}
}

// FromIntent says what a reply intent tells: one queued message for each that will be sent.
func FromIntent(i *dm.ReplyIntent) Facts {
	at := instant(i.CreatedAt, i.ReceivedAt, i.EventTime)
	key := cleanConversation(i.Conversation)
	facts := Facts{Conversation: &Conversation{Key: key, First: at, Updated: at, Last: at}}
	parts := sayings(graph.Expand(i.Parts))
	for n, p := range parts {
		facts.Messages = append(facts.Messages, Message{
			Conversation: key, Outbound: Outbound(i.ID, n),
			Intent: &Intent{
				ID: i.ID, Part: n, Of: len(parts), EventID: i.EventID, Origin: i.Origin,
				RuleID: i.RuleID, RuleName: i.RuleName, MatchedOn: i.MatchedOn, CreatedAt: at,
				Message: rich(p), content: contentOf(&p),
			},
		})
	}
	if len(facts.Messages) > 0 {
		facts.Messages[0].Intent.Trace = i.Trace
	}
	return facts
}

// FromDelivery says what a delivery tells of its message.
func FromDelivery(d *dm.Delivery) Facts {
	at := instant(d.SentAt, d.ReceivedAt)
	key := cleanConversation(d.Conversation)
	m := Message{
		Conversation: key, Outbound: Outbound(d.IntentID, d.Part),
		Delivery: &Delivery{
			ID: d.ID, IntentID: d.IntentID, Part: d.Part, Of: d.Of, Origin: d.Origin, Outcome: d.Outcome, Reason: d.Reason,
			Stop: d.Stop, Attempts: d.Attempts, At: at, Message: rich(d.Message), content: contentOf(&d.Message),
		},
	}
	conversation := &Conversation{Key: key, First: at, Updated: at}
	if d.Outcome == dm.OutcomeSent {
		m.MID = cleanString(d.MID)
		conversation.Last, conversation.LastOut = at, at
	}
	return Facts{Conversation: conversation, Messages: []Message{m}}
}

// clean makes everything that becomes a column fit for PostgreSQL, which stores no NUL. The text is left alone: its
// original is kept.
func clean(e *dm.Event) {
	e.ID, e.MID = cleanString(e.ID), cleanString(e.MID)
	e.MessageType = cleanString(e.MessageType)
	e.Kind = dm.EventKind(cleanString(string(e.Kind)))
	e.Conversation = cleanConversation(e.Conversation)
}

func cleanConversation(c dm.Conversation) dm.Conversation {
	return dm.Conversation{
		Channel: dm.Channel(cleanString(string(c.Channel))), Account: cleanString(c.Account), Customer: cleanString(c.Customer),
	}
}

func cleanString(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// instant is the first time that is one, in PostgreSQL's precision, so that what is read back compares equal.
func instant(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t.UTC().Truncate(time.Microsecond)
		}
	}
	return time.Unix(0, 0).UTC()
}

// earliest and latest ignore zero times.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
