package erase

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ofCustomer are the tables that keep something of a customer beside the archive; not every installation has each. What
// refers to the conversation's own row goes with it, by its foreign key.
const (
	contacts  = "contacts"
	labels    = "conversation_labels"
	webhooks  = "webhook_deliveries" // what is still to be told to another program, with the customer's message in it
	byKey     = ` WHERE page_id = $1 AND instagram_user_id = $2`
	byAccount = ` WHERE account = $1 AND customer = $2`
	byRow     = ` WHERE conversation_id IN (SELECT id FROM conversations WHERE page_id = $1 AND instagram_user_id = $2)`
	byBody    = ` WHERE account = $1 AND body IS NOT NULL AND jsonb_path_exists(body, '$.** ? (@ == $customer)', jsonb_build_object('customer', $2::text))`
)

const columnsOf = `
SELECT table_name::text, array_agg(column_name::text) FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = ANY ($1) GROUP BY table_name ORDER BY table_name`

// others are the statements for those of the tables that there are; each takes the account and the customer.
func others(ctx context.Context, tx pgx.Tx) ([]step, error) {
	rows, err := tx.Query(ctx, columnsOf, []string{contacts, labels, webhooks})
	if err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	var steps []step
	var table string
	var columns []string
	_, err = pgx.ForEachRow(rows, []any{&table, &columns}, func() error {
		has := map[string]bool{}
		for _, c := range columns {
			has[c] = true
		}
		where := ""
		switch {
		case table == webhooks && has["account"] && has["body"]:
			where = byBody
		case has["page_id"] && has["instagram_user_id"]:
			where = byKey
		case has["account"] && has["customer"]:
			where = byAccount
		case has["conversation_id"]:
			where = byRow
		default:
			return fmt.Errorf("table %s: it does not say whose its rows are: %v", table, columns)
		}
		steps = append(steps, step{table: table, sql: `DELETE FROM ` + table + where})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	return steps, nil
}

// of is the steps with an account and a customer.
func of(steps []step, account, customer string) []step {
	out := make([]step, len(steps))
	for i, s := range steps {
		s.args = []any{account, customer}
		out[i] = s
	}
	return out
}
