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
	type row struct {
		Table   string
		Columns []string
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	steps := make([]step, len(tables))
	for i, t := range tables {
		where, err := whose(t.Table, t.Columns)
		if err != nil {
			return nil, err
		}
		steps[i] = step{table: t.Table, sql: `DELETE FROM ` + t.Table + where}
	}
	return steps, nil
}

// whose is how a table says whose a row is.
func whose(table string, columns []string) (where string, err error) {
	has := map[string]bool{}
	for _, c := range columns {
		has[c] = true
	}
	switch {
	case table == webhooks && has["account"] && has["body"]:
		return byBody, nil
	case has["page_id"] && has["instagram_user_id"]:
		return byKey, nil
	case has["account"] && has["customer"]:
		return byAccount, nil
	case has["conversation_id"]:
		return byRow, nil
	default:
		return "", fmt.Errorf("table %s: it does not say whose its rows are: %v", table, columns)
	}
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
