package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/parley-dm/parley/pkg/dm"
)

// The bounds of what is looked for: an event has few answers, each of few messages.
const (
	traceSteps, traceParts = 4, 12
	// traceBack is how many messages before a reply are looked through for what it answers.
	traceBack = 500
)

// Story is how one message came about: what was said, what was decided, what was sent for it.
type Story struct {
	// Heard is the customer's message; nil where it is not there any more, or nothing was answered.
	Heard *ThreadMessage
	// Replies are the messages that were sent for it, in their order.
	Replies []ThreadMessage
	// Decision says why there is none.
	Decision *Happening
	// Rows are the rows as they are, as JSON, by their ids.
	Rows map[string]json.RawMessage
}

// Story finds how a message of a conversation came about. The caller has looked for the conversation with its scope.
func (s *Store) Story(ctx context.Context, t *Talk, messageID string) (*Story, error) {
	if !isUUID(messageID) {
		return nil, ErrNotFound
	}
	found, err := s.messages(ctx, `WHERE id = $1 AND conversation_id = $2`, messageID, t.ID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	asked := found[0]
	story := &Story{}
	switch {
	case asked.Direction == "inbound":
		story.Heard = &asked
	case asked.Meta.Intent != nil && asked.Meta.Intent.EventID != "":
		if story.Heard, err = s.heard(ctx, &asked); err != nil {
			return nil, err
		}
	}
	if asked.Direction == "outbound" {
		story.Replies, err = s.siblings(ctx, &asked)
	} else {
		err = s.answers(ctx, t, story)
	}
	if err != nil {
		return nil, err
	}
	return story, s.addRows(ctx, story)
}

// heard finds the message that a reply answers.
func (s *Store) heard(ctx context.Context, reply *ThreadMessage) (*ThreadMessage, error) {
	found, err := s.messages(ctx, `WHERE id = (SELECT id FROM (
			SELECT id, metadata ->> 'event_id' AS event FROM messages WHERE conversation_id = $1 AND direction = 'inbound' AND timestamp <= $2
			ORDER BY timestamp DESC, messages.id DESC LIMIT $4) m WHERE event = $3 LIMIT 1)`,
		reply.ConversationID, reply.Meta.Intent.CreatedAt.Add(time.Minute), reply.Meta.Intent.EventID, traceBack)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// siblings are all messages of a reply's intent. Their ids follow from the intent's.
func (s *Store) siblings(ctx context.Context, reply *ThreadMessage) ([]ThreadMessage, error) {
	if reply.Meta.Intent == nil || reply.Meta.Intent.Of < 2 {
		return []ThreadMessage{*reply}, nil
	}
	return s.messages(ctx, `WHERE id = ANY ($1::uuid[]) ORDER BY (metadata #>> '{intent,part}')::int`, outboundIDs(reply.Meta.Intent.ID))
}

// answers finds what the bot said to a message, or why it said nothing.
func (s *Store) answers(ctx context.Context, t *Talk, story *Story) error {
	event := story.Heard.Meta.EventID
	if event == "" {
		return nil
	}
	var ids []string
	for step := range traceSteps {
		ids = append(ids, outboundIDs(dm.IntentID(event, step))...)
	}
	var err error
	story.Replies, err = s.messages(ctx, `WHERE id = ANY ($1::uuid[]) ORDER BY created_at, (metadata #>> '{intent,part}')::int`, ids)
	if err != nil {
		return err
	}
	decisions, err := s.Happenings(ctx, t.Conversation, story.Heard.At.Add(-time.Minute), time.Time{}, dm.KindDecision)
	if err != nil {
		return err
	}
	for i := range decisions {
		if d := decisions[i].Event.Decision; d != nil && d.EventID == event {
			story.Decision = &decisions[i]
		}
	}
	return nil
}

func outboundIDs(intentID string) []string {
	ids := make([]string, 0, traceParts)
	for part := range traceParts {
		ids = append(ids, uuid.UUID(dm.RowID("outbound", intentID, strconv.Itoa(part))).String())
	}
	return ids
}

// addRows reads the rows as they are.
func (s *Store) addRows(ctx context.Context, story *Story) error {
	var ids []string
	if story.Heard != nil {
		ids = append(ids, story.Heard.ID)
	}
	for i := range story.Replies {
		ids = append(ids, story.Replies[i].ID)
	}
	story.Rows = map[string]json.RawMessage{}
	rows, err := s.pool.Query(ctx, `SELECT id, jsonb_pretty(to_jsonb(m)) FROM messages m WHERE id = ANY ($1::uuid[])`, ids)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, row string
		if err := rows.Scan(&id, &row); err != nil {
			return fmt.Errorf("read rows: %w", err)
		}
		story.Rows[id] = json.RawMessage(row)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}
