// Package shop is the example that the demo starts with: the rules of a small shop that sells candles.
package shop

import (
	"context"
	_ "embed" // the rules are a file, to be read and changed as one
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/config"
)

//go:embed rules.json
var rules []byte

// Rule is one row of response_rules.
type Rule struct {
	Name      string   `json:"name"`
	Priority  int      `json:"priority"`
	MatchType string   `json:"match_type"`
	Keywords  []string `json:"keywords"`
	Response  string   `json:"response_text"`
}

// Rules are the example rules.
func Rules() ([]Rule, error) {
	var out []Rule
	if err := json.Unmarshal(rules, &out); err != nil {
		return nil, fmt.Errorf("read the example rules: %w", err)
	}
	return out, nil
}

// Furnish puts the example rules into a table that has none; rules that are there already are somebody's own. It returns
// how many it put there.
func Furnish(ctx context.Context, db config.Database) (count int, err error) {
	examples, err := Rules()
	if err != nil {
		return 0, err
	}
	conn, err := pgx.Connect(ctx, db.URL.Reveal())
	if err != nil {
		return 0, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		count, err = insert(ctx, tx, examples)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("insert the example rules: %w", err)
	}
	return count, nil
}

func insert(ctx context.Context, tx pgx.Tx, examples []Rule) (int, error) {
	// Against a second demo on the same database: one of the two finds the other's rules.
	if _, err := tx.Exec(ctx, `LOCK TABLE response_rules IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return 0, err
	}
	var furnished bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM response_rules)`).Scan(&furnished); err != nil || furnished {
		return 0, err
	}
	for _, r := range examples {
		_, err := tx.Exec(ctx, `INSERT INTO response_rules (name, keywords, match_type, response_text, priority) VALUES ($1, $2, $3, $4, $5)`,
			r.Name, r.Keywords, r.MatchType, r.Response, r.Priority)
		if err != nil {
			return 0, fmt.Errorf("rule %s: %w", r.Name, err)
		}
	}
	return len(examples), nil
}
