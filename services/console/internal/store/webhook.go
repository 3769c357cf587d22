package store

import (
	"context"
	"errors"
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

// Within says whether a webhook is about nothing but what a scope sees.
func (w *Webhook) Within(scope Scope) bool {
	if len(scope) == 0 {
		return true
	}
	return len(w.Accounts) > 0 && !slices.ContainsFunc(w.Accounts, func(account string) bool { return !slices.Contains(scope, account) })
}

const webhookColumns = `id, url, secret, events, accounts, is_active, created_at`

// MaxWebhooks bounds how many there are.
const MaxWebhooks = 100

// ErrTooMany is what is not added, because there are as many as there may be.
var ErrTooMany = errors.New("there are as many as there may be")

// Webhooks lists all, the oldest first.
func (s *Store) Webhooks(ctx context.Context) ([]Webhook, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+webhookColumns+` FROM outgoing_webhooks ORDER BY created_at, id LIMIT $1`, MaxWebhooks)
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

// AddWebhook adds one and returns it as it is stored. With an ID that there is already it adds nothing: that one is returned. It
// fails with [ErrTooMany] where there are [MaxWebhooks].
func (s *Store) AddWebhook(ctx context.Context, by Actor, w Webhook) (Webhook, error) {
	if w.Accounts == nil {
		w.Accounts = All
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// One after the other, so that two who add the last one at once do not both succeed.
		if _, err := tx.Exec(ctx, `LOCK TABLE outgoing_webhooks IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var many, there bool
		err := tx.QueryRow(ctx, `SELECT count(*) >= $1, coalesce(bool_or(id::text = $2), false) FROM outgoing_webhooks`, MaxWebhooks, w.ID).Scan(&many, &there)
		switch {
		case err != nil || there:
			return err
		case many:
			return ErrTooMany
		}
		err = tx.QueryRow(ctx, `INSERT INTO outgoing_webhooks (id, url, secret, events, accounts, created_at, created_by)
			VALUES (coalesce(nullif($1, '')::uuid, gen_random_uuid()), $2, $3, $4, $5, $6, nullif($7, '')::uuid) RETURNING id`,
			w.ID, w.URL, w.Secret, w.Events, w.Accounts, s.now(), by.UserID).Scan(&w.ID)
		if err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, Change{Action: "webhook.added", Target: "webhook:" + w.ID, Detail: map[string]any{"events": w.Events}})
	})
	if err != nil {
		return w, fmt.Errorf("add webhook: %w", err)
	}
	return s.Webhook(ctx, w.ID)
}

// SetWebhookActive switches one on or off.
func (s *Store) SetWebhookActive(ctx context.Context, by Actor, id string, active bool) error {
	return s.changeWebhook(ctx, by, `UPDATE outgoing_webhooks SET is_active = $2 WHERE id::text = $1`, Change{
		Action: "webhook.switched", Target: "webhook:" + id, Detail: map[string]any{"active": active},
	}, id, active)
}

// SetWebhookSecret gives one another key to sign with.
func (s *Store) SetWebhookSecret(ctx context.Context, by Actor, id, secret string) error {
	return s.changeWebhook(ctx, by, `UPDATE outgoing_webhooks SET secret = $2 WHERE id::text = $1`, Change{Action: "webhook.secret_changed", Target: "webhook:" + id}, id, secret)
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
