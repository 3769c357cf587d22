package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

const (
	// failureDays is how far back failures are looked for: no messaging window is longer, and older ones cannot be mended.
	failureDays = 30
	// MaxFailures bounds how many failures of each status are looked at, the newest first.
	MaxFailures = 5000
)

// Failure is a message that was not sent, or perhaps was not, as far as is needed to put it beside others like it.
type Failure struct {
	ID      string
	Account string
	At      time.Time
	// Status is failed, expired or unknown; Outcome the delivery's, which may be held.
	Status  string
	Outcome dm.Outcome
	Reason  string
	// Last is the last call: HTTP status, Meta's codes and words; zero without one.
	Last dm.Attempt
}

// Failures lists what nobody has decided about yet, the newest first and of each status no more than [MaxFailures]. More says that there are more.
func (s *Store) Failures(ctx context.Context, scope Scope) (found []Failure, more bool, err error) {
	rows, err := s.pool.Query(ctx, `SELECT m.id::text, m.account, m.timestamp, m.status,
			coalesce(m.metadata #>> '{delivery,outcome}', ''), coalesce(m.metadata #>> '{delivery,reason}', ''),
			coalesce(m.metadata #>> '{delivery,attempts,-1,status}', ''), coalesce(m.metadata #>> '{delivery,attempts,-1,code}', ''),
			coalesce(m.metadata #>> '{delivery,attempts,-1,subcode}', ''), coalesce(m.metadata #>> '{delivery,attempts,-1,error}', '')
		FROM unnest(ARRAY['failed', 'expired', 'unknown']) s (status) CROSS JOIN LATERAL (
			SELECT id, account, timestamp, status, metadata FROM messages
			WHERE direction = 'outbound' AND status IN ('failed', 'expired', 'unknown') AND status = s.status AND timestamp > $2
				AND deleted_at IS NULL AND (cardinality($1::text[]) = 0 OR account = ANY ($1))
				AND NOT EXISTS (SELECT FROM failure_decisions d WHERE d.message_id = messages.id)
			ORDER BY timestamp DESC, id DESC LIMIT $3) m`, scope, s.now().AddDate(0, 0, -failureDays), MaxFailures)
	if err != nil {
		return nil, false, fmt.Errorf("list failures: %w", err)
	}
	counts := map[string]int{}
	found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Failure, err error) {
		var status, code, subcode string
		err = row.Scan(&f.ID, &f.Account, &f.At, &f.Status, &f.Outcome, &f.Reason, &status, &code, &subcode, &f.Last.Error)
		f.Last.Status, f.Last.Code, f.Last.Subcode = whole(status), whole(code), whole(subcode)
		counts[f.Status]++
		more = more || counts[f.Status] == MaxFailures
		return f, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list failures: %w", err)
	}
	slices.SortStableFunc(found, func(a, b Failure) int { return b.At.Compare(a.At) })
	return found, more, nil
}

// whole reads a number out of metadata that somebody may have made by hand.
func whole(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// FailedMessage is a failure with all that is needed to send it again.
type FailedMessage struct {
	ThreadMessage
	Conversation dm.Conversation
	// LastInbound is when the customer last wrote; nil for never.
	LastInbound *time.Time
}

// FailedMessages reads failures that nobody has decided about, the oldest decision first.
func (s *Store) FailedMessages(ctx context.Context, scope Scope, ids []string) ([]FailedMessage, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !isUUID(id) })
	rows, err := s.pool.Query(ctx, `SELECT m.id::text, m.conversation_id::text, m.account, coalesce(m.message_text, ''), m.message_type, m.status, m.timestamp, m.created_at,
			(m.metadata - 'raw' - 'raw_base64')::text, c.channel, c.page_id, c.instagram_user_id, c.last_inbound_at
		FROM messages m JOIN conversations c ON c.id = m.conversation_id
		WHERE m.id = ANY ($2::uuid[])
			AND m.direction = 'outbound' AND m.status IN ('failed', 'expired', 'unknown') AND m.deleted_at IS NULL
			AND (cardinality($1::text[]) = 0 OR m.account = ANY ($1))
			AND NOT EXISTS (SELECT FROM failure_decisions d WHERE d.message_id = m.id)
		ORDER BY m.created_at, m.metadata #>> '{intent,id}', length(m.metadata #>> '{intent,part}'), m.metadata #>> '{intent,part}', m.id`, scope, ids)
	if err != nil {
		return nil, fmt.Errorf("read failures: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m FailedMessage, err error) {
		var meta string
		err = row.Scan(&m.ID, &m.ConversationID, &m.Account, &m.Text, &m.Type, &m.Status, &m.At, &m.CreatedAt, &meta,
			&m.Conversation.Channel, &m.Conversation.Account, &m.Conversation.Customer, &m.LastInbound)
		if err == nil && json.Unmarshal([]byte(meta), &m.Meta) != nil {
			m.Meta = MessageMeta{}
		}
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("read failures: %w", err)
	}
	return found, nil
}

// The decisions.
const (
	SendAgain = "send_again"
	WasSent   = "was_sent"
)

// FailureDecision is what somebody decided about a message.
type FailureDecision struct{ MessageID, Decision, IntentID string }

// DecideFailures keeps decisions, each the only one about its message, and calls act with those that are: what act tells the
// bus and what is kept here happen together, or the decision is still to be made. Who decides the same at the same time waits.
func (s *Store) DecideFailures(ctx context.Context, by Actor, decisions []FailureDecision, act func(ctx context.Context, messageIDs []string) error) (ids []string, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, d := range decisions {
			tag, err := tx.Exec(ctx, `INSERT INTO failure_decisions (message_id, decision, intent_id, decided_at, decided_by)
				SELECT id, $2, nullif($3, ''), $4, $5 FROM messages WHERE id = $1 ON CONFLICT (message_id) DO NOTHING`,
				d.MessageID, d.Decision, d.IntentID, s.now(), by.Name)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 0 {
				continue
			}
			ids = append(ids, d.MessageID)
			detail := map[string]any{}
			if d.IntentID != "" {
				detail["intent"] = d.IntentID
			}
			if err := s.AuditTx(ctx, tx, by, Change{Action: "failure." + d.Decision, Target: "message:" + d.MessageID, Detail: detail}); err != nil {
				return err
			}
		}
		if len(ids) == 0 {
			return nil
		}
		return act(ctx, ids)
	})
	if err != nil {
		return nil, fmt.Errorf("decide about failures: %w", err)
	}
	return ids, nil
}
