package desk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// MaxText bounds what may be written at once, in bytes; it goes out in messages of 1,000 bytes each.
const MaxText = 8000

// RefusedError is why something cannot be said. The text is for people.
type RefusedError struct {
	Text string
	// Window: not for what it says, but because Meta lets nobody write to the customer now.
	Window bool
}

func (e *RefusedError) Error() string { return e.Text }

// Saying is what a person writes to a customer.
type Saying struct {
	Conversation Conversation
	Text         string
	// Key makes what is said twice with it, by the same person in the same conversation, one message; a new one if empty.
	Key string
	// TakeOver has the person take the conversation from the bot first, where the bot has it: two would talk at once.
	TakeOver bool
}

// Say queues what a person writes and returns its intent's id. It answers the customer's last message: within 24 hours of it as
// any, within 7 days with the tag for people, later not at all. What cannot be said is a [*RefusedError].
func (d *Desk) Say(ctx context.Context, by Person, s Saying) (intentID string, err error) {
	if problem := unsayable(s.Text); problem != "" {
		return "", &RefusedError{Text: problem}
	}
	now := d.now().UTC().Truncate(time.Microsecond)
	last, err := d.answers(ctx, &s, now)
	if err != nil {
		return "", err
	}
	_, held, err := d.Holder(ctx, s.Conversation.Conversation)
	if err == nil && !held && s.TakeOver {
		err = d.Take(ctx, by, s.Conversation, time.Time{})
	}
	if err != nil {
		return "", away(err)
	}
	if s.Key == "" {
		s.Key = rand.Text()
	}
	i := dm.ReplyIntent{
		ID: dm.IntentID("operator:"+s.Conversation.String()+":"+by.UserID+":"+s.Key, 0), EventID: last.EventID, Conversation: s.Conversation.Conversation,
		Origin: dm.OriginOperator, Parts: []dm.Part{{Kind: dm.PartText, Text: s.Text}}, EventTime: last.At, ReceivedAt: now, CreatedAt: now,
	}
	if err := d.pipeline.Publish(ctx, d.pipeline.Intent(i, i.ID, i.ID)); err != nil {
		return "", away(fmt.Errorf("send to %s: %w", s.Conversation.Conversation, err))
	}
	return i.ID, d.store.Audit(ctx, by.Actor, store.Change{Action: "message.sent", Target: "conversation:" + s.Conversation.ID, Detail: map[string]any{"intent": i.ID}})
}

// answers finds the customer's message that something said now would answer.
func (d *Desk) answers(ctx context.Context, s *Saying, now time.Time) (last store.Inbound, err error) {
	last, err = d.store.LastInbound(ctx, s.Conversation.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return last, &RefusedError{Window: true, Text: "The customer has not written yet: Meta lets nobody write first."}
	case err != nil:
		return last, err
	case !now.Before(last.At.Add(dm.HumanWindow)):
		return last, &RefusedError{Window: true, Text: "The customer's last message is older than 7 days: Meta takes no message before they write again."}
	case !d.pipeline.Joined():
		return last, ops.ErrAway
	}
	return last, nil
}

// unsayable says why a text cannot be sent.
func unsayable(text string) string {
	switch {
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return "The text holds a character that cannot be sent."
	case strings.TrimSpace(text) == "":
		return "Write something first."
	case len(text) > MaxText:
		return fmt.Sprintf("The text has %d bytes; at most %d can be sent at once.", len(text), MaxText)
	}
	for _, part := range graph.Expand([]dm.Part{{Kind: dm.PartText, Text: text}}) {
		if err := graph.Check(part); err != nil {
			return "Meta would refuse it: " + err.Error()
		}
	}
	return ""
}
