package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// The events that webhooks are told of.
const (
	EventReceived  = "message.received"
	EventSent      = "reply.sent"
	EventHandedOff = "conversation.handed_off"
	EventFailed    = "reply.failed"
)

// WebhookEvents lists them.
var WebhookEvents = []string{EventReceived, EventSent, EventHandedOff, EventFailed}

// Webhook is where another program is told of what happens.
type Webhook struct {
	ID        string
	URL       string
	Secret    string
	Events    []string
	Accounts  Scope
	Active    bool
	CreatedAt time.Time
}

// Wants says whether the webhook is told of something of an account that happened at a time. Of what was before it was made
// it is not.
func (w *Webhook) Wants(event, account string, at time.Time) bool {
	return w.Active && slices.Contains(w.Events, event) && (len(w.Accounts) == 0 || slices.Contains(w.Accounts, account)) && !at.Before(w.CreatedAt)
}

const webhookColumns = `id, url, secret, events, accounts, is_active, created_at`

// maxWebhooks bounds how many there are.
const maxWebhooks = 100

// Webhooks lists all, the oldest first.
func (s *Store) Webhooks(ctx context.Context) ([]Webhook, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+webhookColumns+` FROM outgoing_webhooks ORDER BY created_at, id LIMIT $1`, maxWebhooks)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Webhook])
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return found, nil
}

// Webhook finds one.
func (s *Store) Webhook(ctx context.Context, id string) (w Webhook, err error) {
	rows, err := s.pool.Query(ctx, `SELECT `+webhookColumns+` FROM outgoing_webhooks WHERE id::text = $1`, id)
	if err == nil {
		w, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Webhook])
	}
	if err != nil {
		return w, fmt.Errorf("find webhook: %w", notFound(err))
	}
	return w, nil
}

// AddWebhook adds one and returns its id.
func (s *Store) AddWebhook(ctx context.Context, by Actor, w Webhook) (id string, err error) {
	if w.Accounts == nil {
		w.Accounts = All
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `INSERT INTO outgoing_webhooks (url, secret, events, accounts, created_at, created_by)
			VALUES ($1, $2, $3, $4, $5, nullif($6, '')::uuid) RETURNING id`, w.URL, w.Secret, w.Events, w.Accounts, s.now(), by.UserID).Scan(&id)
		if err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, Change{Action: "webhook.added", Target: "webhook:" + id, Detail: map[string]any{"events": w.Events}})
	})
	if err != nil {
		return "", fmt.Errorf("add webhook: %w", err)
	}
	return id, nil
}

// SetWebhookActive switches one on or off.
func (s *Store) SetWebhookActive(ctx context.Context, by Actor, id string, active bool) error {
	return s.changeWebhook(ctx, by, `UPDATE outgoing_webhooks SET is_active = $2 WHERE id::text = $1`, Change{
		Action: "webhook.switched", Target: "webhook:" + id, Detail: map[string]any{"active": active},
	}, id, active)
}

// DeleteWebhook deletes one, with its deliveries.
func (s *Store) DeleteWebhook(ctx context.Context, by Actor, id string) error {
	return s.changeWebhook(ctx, by, `DELETE FROM outgoing_webhooks WHERE id::text = $1`, Change{Action: "webhook.deleted", Target: "webhook:" + id}, id)
}

func (s *Store) changeWebhook(ctx context.Context, by Actor, sql string, c Change, args ...any) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, c)
	})
	if err != nil {
		return fmt.Errorf("change webhook: %w", err)
	}
	return nil
}

// WebhookDelivery is one thing that one webhook is told of, and what came of it.
type WebhookDelivery struct {
	ID             int64
	WebhookID      string
	Event, EventID string
	Account        string
	State          string // waiting, delivered or failed
	Attempts       int
	CreatedAt      time.Time
	NextAttemptAt  *time.Time
	FinishedAt     *time.Time
	ResponseStatus *int
	Error          string
}

// NewDelivery is what a webhook is to be told.
type NewDelivery struct {
	WebhookID, Event, EventID, Account string
	Body                               json.RawMessage
}

// DueDelivery is one that is to be tried now.
type DueDelivery struct {
	ID          int64
	Event       string
	Body        json.RawMessage
	Attempts    int // with this one
	URL, Secret string
	Active      bool // the webhook is still switched on
}

// AddDelivery notes what a webhook is to be told, once, however often it is noted.
func (s *Store) AddDelivery(ctx context.Context, d NewDelivery) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, body, created_at, next_attempt_at)
		SELECT id, $2, $3, $4, $5, $6, $6 FROM outgoing_webhooks WHERE id = $1 ON CONFLICT (webhook_id, event_id) DO NOTHING`,
		d.WebhookID, d.Event, d.EventID, d.Account, d.Body, s.now())
	if err != nil {
		return fmt.Errorf("note a webhook's delivery: %w", err)
	}
	return nil
}

// DueDeliveries claims what is to be tried now, for a while: when the claim is over, another tries.
func (s *Store) DueDeliveries(ctx context.Context, limit int, claim time.Duration) ([]DueDelivery, error) {
	now := s.now()
	rows, err := s.pool.Query(ctx, `WITH due AS (
			SELECT d.id FROM webhook_deliveries d WHERE d.state = 'waiting' AND d.next_attempt_at <= $1
			ORDER BY d.next_attempt_at, d.id LIMIT $2 FOR UPDATE SKIP LOCKED)
		UPDATE webhook_deliveries d SET attempts = d.attempts + 1, next_attempt_at = $3
		FROM due, outgoing_webhooks w WHERE d.id = due.id AND w.id = d.webhook_id
		RETURNING d.id, d.event, d.body, d.attempts, w.url, w.secret, w.is_active`, now, limit, now.Add(claim))
	if err != nil {
		return nil, fmt.Errorf("claim webhooks' deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DueDelivery])
	if err != nil {
		return nil, fmt.Errorf("claim webhooks' deliveries: %w", err)
	}
	return found, nil
}

// DeliveryResult is what came of one attempt.
type DeliveryResult struct {
	ID     int64
	Status int    // of the answer; 0 for none
	Error  string // empty: delivered
	// Again is when it is tried again; zero: never.
	Again time.Time
}

// FinishDelivery notes what came of an attempt. What is over loses its body.
func (s *Store) FinishDelivery(ctx context.Context, r DeliveryResult) error {
	var err error
	if !r.Again.IsZero() {
		_, err = s.pool.Exec(ctx, `UPDATE webhook_deliveries SET next_attempt_at = $2, response_status = nullif($3, 0), error = $4 WHERE id = $1`,
			r.ID, r.Again, r.Status, r.Error)
	} else {
		_, err = s.pool.Exec(ctx, `UPDATE webhook_deliveries SET state = CASE WHEN $4 = '' THEN 'delivered' ELSE 'failed' END, finished_at = $2,
			next_attempt_at = NULL, response_status = nullif($3, 0), error = nullif($4, ''), body = NULL WHERE id = $1`, r.ID, s.now(), r.Status, r.Error)
	}
	if err != nil {
		return fmt.Errorf("note a webhook's delivery: %w", err)
	}
	return nil
}

// Deliveries lists a webhook's deliveries before an id (0: the newest), newest first.
func (s *Store) Deliveries(ctx context.Context, webhookID string, before int64, limit int) ([]WebhookDelivery, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, event, event_id, account, state, attempts, created_at, next_attempt_at, finished_at, response_status, coalesce(error, '')
		FROM webhook_deliveries WHERE webhook_id = $1 AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, webhookID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list webhooks' deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d WebhookDelivery, err error) {
		err = row.Scan(&d.ID, &d.Event, &d.EventID, &d.Account, &d.State, &d.Attempts, &d.CreatedAt, &d.NextAttemptAt, &d.FinishedAt, &d.ResponseStatus, &d.Error)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks' deliveries: %w", err)
	}
	return found, nil
}
