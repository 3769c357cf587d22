// Package explain says why a message was answered so, or not at all, from what the archive has of it: the message, the
// decision with its trace, and each reply with what came of it.
//
// It decides nothing and asks no rule: what it prints is what was decided then, not what would be decided now.
package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
)

// Archive is what explanations are made from.
type Archive struct {
	Messages Messages
	Events   Events
}

// Messages finds messages.
type Messages interface {
	Get(ctx context.Context, id string) (repository.Message, error)
	ByMID(ctx context.Context, account, mid string) (repository.Message, error)
	Find(ctx context.Context, mid string) ([]repository.Message, error)
	Replies(ctx context.Context, conversation dm.Conversation, eventID string) ([]repository.Message, error)
	OfEvent(ctx context.Context, conversation dm.Conversation, eventID string) (repository.Message, error)
}

// Events finds what is no message.
type Events interface {
	Get(ctx context.Context, id string) (repository.Event, error)
}

// Explanation is all that is known of why a message was answered so, or why one was sent.
type Explanation struct {
	Message repository.Message `json:"message"`
	// Answers is the customer's message that an outbound one answers, Event what it answers where that is no message, such as a
	// comment.
	Answers *repository.Message `json:"answers,omitempty"`
	Event   *repository.Event   `json:"answers_event,omitempty"`
	// Decision is how the answer was decided; nil where the archive does not know.
	Decision *Decision `json:"decision,omitempty"`
	// Replies are the messages that answer the customer's, in their order.
	Replies []repository.Message `json:"replies,omitempty"`
}

// Decision is one decision: to say something, or nothing.
type Decision struct {
	Origin    dm.Origin `json:"origin,omitempty"`
	RuleID    string    `json:"rule_id,omitempty"`
	RuleName  string    `json:"rule_name,omitempty"`
	MatchedOn string    `json:"matched_on,omitempty"`
	// EventID is the event of a decision to say nothing, Reason the word for it.
	EventID string    `json:"event_id,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Trace   *dm.Trace `json:"trace,omitempty"`
}

// AmbiguousError says that several accounts have a message of that name.
type AmbiguousError struct {
	MID      string
	Accounts []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("message %s: %d accounts have one: %s; say which with --account", e.MID, len(e.Accounts), strings.Join(e.Accounts, ", "))
}

// Explain explains one message, named by Meta's id or by ours; account may be empty.
func Explain(ctx context.Context, a Archive, account, name string) (Explanation, error) {
	m, err := find(ctx, a.Messages, account, name)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Message: m}
	if m.Direction == repository.Outbound {
		err = x.outbound(ctx, a)
	} else {
		err = x.inbound(ctx, a, &m)
	}
	return x, err
}

func find(ctx context.Context, messages Messages, account, name string) (repository.Message, error) {
	if account != "" {
		m, err := messages.ByMID(ctx, account, name)
		if !errors.Is(err, repository.ErrNotFound) {
			return m, err
		}
		return byID(ctx, messages, account, name)
	}
	all, err := messages.Find(ctx, name)
	switch {
	case err != nil:
		return repository.Message{}, err
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return byID(ctx, messages, account, name)
	}
	ambiguous := &AmbiguousError{MID: name}
	for i := range all {
		ambiguous.Accounts = append(ambiguous.Accounts, all[i].Account)
	}
	return repository.Message{}, ambiguous
}

func byID(ctx context.Context, messages Messages, account, id string) (repository.Message, error) {
	m, err := messages.Get(ctx, id)
	if err == nil && account != "" && m.Account != account {
		return repository.Message{}, fmt.Errorf("message %s of account %s: %w", id, account, repository.ErrNotFound)
	}
	return m, err
}

// inbound finds the decision and the replies to a customer's message.
func (x *Explanation) inbound(ctx context.Context, a Archive, m *repository.Message) error {
	var err error
	if m.Metadata.EventID != "" {
		if x.Replies, err = a.Messages.Replies(ctx, m.Conversation, m.Metadata.EventID); err != nil {
			return err
		}
	}
	if x.Decision = decided(x.Replies); x.Decision != nil {
		return nil
	}
	return x.unanswered(ctx, a, m)
}

// decided is the decision that the replies to an event come from: the first that was not a person's. The first message of an
// intent has the trace, for all of them.
func decided(replies []repository.Message) *Decision {
	var d *Decision
	for i := range replies {
		intent := replies[i].Metadata.Intent
		if intent.Origin != dm.OriginOperator && (d == nil || d.Trace == nil && intent.Trace != nil) {
			d = ofIntent(intent)
		}
	}
	return d
}

// unanswered finds the decision to say nothing.
func (x *Explanation) unanswered(ctx context.Context, a Archive, m *repository.Message) error {
	if m.Metadata.EventID == "" {
		return nil
	}
	// The event of a decision has its id from the event that was decided.
	e, err := a.Events.Get(ctx, dm.EventID(m.Channel, m.Account, dm.KindDecision, m.Metadata.EventID))
	if errors.Is(err, repository.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var data dm.Event
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return fmt.Errorf("read event %s: %w", e.ID, err)
	}
	if data.Decision == nil {
		return fmt.Errorf("event %s: got no decision, expected one", e.ID)
	}
	x.Decision = &Decision{EventID: e.ID, Reason: data.Decision.Reason, Trace: data.Decision.Trace}
	return nil
}

// outbound finds what a message of ours answers.
func (x *Explanation) outbound(ctx context.Context, a Archive) error {
	intent := x.Message.Metadata.Intent
	if intent == nil {
		return nil
	}
	x.Decision = ofIntent(intent)
	if intent.EventID == "" {
		return nil
	}
	if intent.Trace == nil && intent.Origin != dm.OriginOperator {
		replies, err := a.Messages.Replies(ctx, x.Message.Conversation, intent.EventID)
		if err != nil {
			return err
		}
		if d := decided(replies); d != nil {
			x.Decision.Trace = d.Trace
		}
	}
	m, err := a.Messages.OfEvent(ctx, x.Message.Conversation, intent.EventID)
	if err == nil {
		x.Answers = &m
		return nil
	}
	if !errors.Is(err, repository.ErrNotFound) {
		return err
	}
	e, err := a.Events.Get(ctx, intent.EventID)
	if errors.Is(err, repository.ErrNotFound) {
		return nil
	}
	x.Event = &e
	return err
}

// ofIntent is an intent's decision. Its trace leaves out what the intent says itself; that is put back.
func ofIntent(i *repository.Intent) *Decision {
	if i.Trace != nil {
		i.Trace.Expand(i.RuleID, i.RuleName, i.MatchedOn)
	}
	return &Decision{Origin: i.Origin, RuleID: i.RuleID, RuleName: i.RuleName, MatchedOn: i.MatchedOn, Trace: i.Trace}
}

// Withhold takes out of an explanation what was said: texts, pictures and the items that Meta sent.
func (x *Explanation) Withhold() {
	withhold(&x.Message)
	if x.Answers != nil {
		withhold(x.Answers)
	}
	if x.Event != nil {
		x.Event.Data = nil
	}
	for i := range x.Replies {
		withhold(&x.Replies[i])
	}
}

func withhold(m *repository.Message) {
	m.Text = ""
	meta := &m.Metadata
	meta.Raw, meta.FirstText, meta.Edits, meta.Attachments, meta.Payload = nil, "", nil, nil, ""
	if meta.Intent != nil {
		bare := *meta.Intent
		bare.Message = nil
		meta.Intent = &bare
	}
	if meta.Delivery != nil {
		bare := *meta.Delivery
		bare.Message = nil
		meta.Delivery = &bare
	}
}
