package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

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
	// Kept: what was to be told is still there, so that it can be told again.
	Kept bool
}

// Repeatable says whether it can be tried at once: what failed, and what waits for its next attempt.
func (d *WebhookDelivery) Repeatable() bool {
	return d.Kept && (d.State == "failed" || d.State == "waiting" && d.Attempts > 0)
}

const deliveryColumns = `d.id, d.webhook_id, d.event, d.event_id, d.account, d.state, d.attempts, d.created_at, d.next_attempt_at, d.finished_at,
	d.response_status, coalesce(d.error, ''), d.body IS NOT NULL`

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

// FinishDelivery notes what came of an attempt. What was delivered loses its body; what failed may be told again.
func (s *Store) FinishDelivery(ctx context.Context, r DeliveryResult) error {
	var err error
	if !r.Again.IsZero() {
		_, err = s.pool.Exec(ctx, `UPDATE webhook_deliveries SET next_attempt_at = $2, response_status = nullif($3, 0), error = $4 WHERE id = $1`,
			r.ID, r.Again, r.Status, r.Error)
	} else {
		_, err = s.pool.Exec(ctx, `UPDATE webhook_deliveries SET state = CASE WHEN $4 = '' THEN 'delivered' ELSE 'failed' END, finished_at = $2,
			next_attempt_at = NULL, response_status = nullif($3, 0), error = nullif($4, ''),
			body = CASE WHEN $4 = '' THEN NULL ELSE body END WHERE id = $1`, r.ID, s.now(), r.Status, r.Error)
	}
	if err != nil {
		return fmt.Errorf("note a webhook's delivery: %w", err)
	}
	return nil
}

// Deliveries lists a webhook's deliveries before an id (0: the newest), newest first.
func (s *Store) Deliveries(ctx context.Context, webhookID string, before int64, limit int) ([]WebhookDelivery, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+deliveryColumns+`
		FROM webhook_deliveries d WHERE d.webhook_id = $1 AND ($2 = 0 OR d.id < $2) ORDER BY d.id DESC LIMIT $3`, webhookID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list webhooks' deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[WebhookDelivery])
	if err != nil {
		return nil, fmt.Errorf("list webhooks' deliveries: %w", err)
	}
	return found, nil
}

// LastDeliveries are the newest delivery of each webhook that has any, by the webhook's id.
func (s *Store) LastDeliveries(ctx context.Context) (map[string]WebhookDelivery, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+deliveryColumns+` FROM outgoing_webhooks w
		JOIN webhook_deliveries d ON d.id = (SELECT max(id) FROM webhook_deliveries WHERE webhook_id = w.id)`)
	if err != nil {
		return nil, fmt.Errorf("list webhooks' last deliveries: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[WebhookDelivery])
	if err != nil {
		return nil, fmt.Errorf("list webhooks' last deliveries: %w", err)
	}
	out := make(map[string]WebhookDelivery, len(found))
	for i := range found {
		out[found[i].WebhookID] = found[i]
	}
	return out, nil
}

// DeliverAgain has a delivery that failed tried anew, and one that waits for its next attempt tried now. It is [ErrNotFound]
// where there is none, or nothing left to tell.
func (s *Store) DeliverAgain(ctx context.Context, by Actor, webhookID string, id int64) error {
	return s.changeWebhook(ctx, by, `UPDATE webhook_deliveries SET state = 'waiting', next_attempt_at = $3, finished_at = NULL,
			attempts = CASE WHEN state = 'failed' THEN 0 ELSE attempts END
		WHERE id = $2 AND webhook_id::text = $1 AND body IS NOT NULL AND (state = 'failed' OR attempts > 0)`,
		Change{Action: "webhook.sent_again", Target: "webhook:" + webhookID, Detail: map[string]any{"delivery": id}}, webhookID, id, s.now())
}
