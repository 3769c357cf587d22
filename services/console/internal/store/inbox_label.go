package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// hasLabel is the condition that a conversation c has the label of a placeholder.
func hasLabel(placeholder string) string {
	return `EXISTS (SELECT FROM conversation_labels l WHERE l.label = ` + placeholder + ` AND l.present
		AND l.channel = c.channel AND l.page_id = c.page_id AND l.instagram_user_id = c.instagram_user_id)`
}

// addLabels adds the labels of conversations.
func (s *Store) addLabels(ctx context.Context, talks []Talk) error {
	channels, accounts, customers := talkKeys(talks)
	rows, err := s.pool.Query(ctx, //nolint:rowserrcheck // ForEachRow does
		`SELECT l.channel, l.page_id, l.instagram_user_id, l.label
		FROM unnest($1::text[], $2::text[], $3::text[]) AS k (channel, page_id, instagram_user_id) JOIN conversation_labels l USING (channel, page_id, instagram_user_id)
		WHERE l.present ORDER BY l.label`, channels, accounts, customers)
	if err != nil {
		return fmt.Errorf("read labels: %w", err)
	}
	found := map[dm.Conversation][]string{}
	var key dm.Conversation
	var label string
	_, err = pgx.ForEachRow(rows, []any{&key.Channel, &key.Account, &key.Customer, &label}, func() error {
		found[key] = append(found[key], label)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read labels: %w", err)
	}
	for i := range talks {
		talks[i].Labels = found[talks[i].Conversation]
	}
	return nil
}

// InboxLabels are labels that conversations have, in their order, at most a hundred: a loose scan of the index by label.
func (s *Store) InboxLabels(ctx context.Context, scope Scope) ([]string, error) {
	rows, err := s.pool.Query(ctx, `
		WITH RECURSIVE a (label, n) AS (
			(SELECT label, 1 FROM conversation_labels WHERE present ORDER BY label LIMIT 1)
			UNION ALL
			SELECT (SELECT l.label FROM conversation_labels l WHERE l.present AND l.label > a.label ORDER BY l.label LIMIT 1), n + 1
			FROM a WHERE a.label IS NOT NULL AND n < 100)
		SELECT label FROM a WHERE label IS NOT NULL AND (cardinality($1::text[]) = 0
			OR EXISTS (SELECT FROM conversation_labels l WHERE l.present AND l.label = a.label AND l.page_id = ANY ($1)))`, scope)
	if err != nil {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	labels, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list labels: %w", err)
	}
	return labels, nil
}
