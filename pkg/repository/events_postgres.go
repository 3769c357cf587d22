package repository

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/dm"
)

// Event is something that happened and is neither a message nor a change of one: who has the conversation, why a message got
// no answer, a comment, …
type Event struct {
	ID string `json:"id"`
	dm.Conversation
	Kind dm.EventKind `json:"kind"`
	// MID is the message that it is about, where it is about one.
	MID        string    `json:"mid,omitempty"`
	At         time.Time `json:"time"`
	ReceivedAt time.Time `json:"received_at"`
	// Data is the event as the bus carried it.
	Data json.RawMessage `json:"data,omitempty"`
}

// EventQuery picks what happened in one conversation, newest first.
type EventQuery struct {
	Conversation dm.Conversation
	// Kind and MID pick; empty picks all.
	Kind dm.EventKind
	MID  string
	// Before continues behind the last event of the page before; nil begins with the newest.
	Before *Event
	// Limit is how many at most; 50 if 0, 500 at most.
	Limit int
}

const eventColumns = `id, channel, account, coalesce(customer, ''), kind, coalesce(mid, ''), time, received_at, data::text`

// eventsOf is served by the index events_of_conversation.
const eventsOf = `
SELECT ` + eventColumns + ` FROM events
WHERE account = $1 AND customer = $2 AND channel = $3 AND ($4 = '' OR kind = $4) AND ($5 = '' OR mid = $5)
  AND ($6::timestamptz IS NULL OR time < $6 OR time = $6 AND id > $7)
ORDER BY time DESC, id LIMIT $8`

const eventByID = `SELECT ` + eventColumns + ` FROM events WHERE id = $1`

// Events reads the table events.
type Events struct{ pool *pgxpool.Pool }

// NewEvents reads through a pool, which the caller closes.
func NewEvents(pool *pgxpool.Pool) *Events { return &Events{pool} }

// List reads a page of what happened in a conversation.
func (r *Events) List(ctx context.Context, q EventQuery) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var at *time.Time
	id := ""
	if q.Before != nil {
		at, id = &q.Before.At, q.Before.ID
	}
	all, err := collect(ctx, r.pool, scanEvent, eventsOf, q.Conversation.Account, q.Conversation.Customer, string(q.Conversation.Channel),
		string(q.Kind), q.MID, at, id, pageSize(q.Limit))
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", q.Conversation, err)
	}
	return all, nil
}

// Get reads one event, or fails with [ErrNotFound].
func (r *Events) Get(ctx context.Context, id string) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := collect(ctx, r.pool, scanEvent, eventByID, id)
	switch {
	case err != nil:
		return Event{}, fmt.Errorf("read event %s: %w", id, err)
	case len(all) == 0:
		return Event{}, fmt.Errorf("event %s: %w", id, ErrNotFound)
	default:
		return all[0], nil
	}
}

func scanEvent(row pgx.CollectableRow) (Event, error) {
	var e Event
	var data string
	err := row.Scan(&e.ID, &e.Channel, &e.Account, &e.Customer, &e.Kind, &e.MID, &e.At, &e.ReceivedAt, &data)
	e.At, e.ReceivedAt, e.Data = e.At.UTC(), e.ReceivedAt.UTC(), json.RawMessage(data)
	return e, err
}
