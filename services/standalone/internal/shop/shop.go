// Package shop is the example that the demo starts with: the rules of a small shop that sells candles.
package shop

import (
	"context"
	_ "embed" // the rules are a file, to be read and changed as one
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
)

//go:embed rules.yaml
var file []byte

// by is who is said to have made the rules.
const by = "parley demo"

// Rules are the example rules.
func Rules() ([]rules.Rule, error) {
	out, err := rulefile.Parse("rules.yaml", file)
	if err != nil {
		return nil, fmt.Errorf("read the example rules: %w", err)
	}
	return out, nil
}

// Furnish puts the example rules into a table that has none; rules that are there already are somebody's own. It returns
// how many it put there. Of two demos on one database the second finds the first's rules as they are.
func Furnish(ctx context.Context, db config.Database) (count int, err error) {
	examples, err := Rules()
	if err != nil {
		return 0, err
	}
	pool, err := postgres.Open(ctx, db, postgres.Options{Name: "demo", MaxConns: 1})
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	repo := repository.NewRules(pool)
	stored, err := repo.List(ctx)
	if err != nil || len(stored) > 0 {
		return 0, err
	}
	set := repository.Import{By: by, Rules: make([]repository.Rule, len(examples))}
	for i, r := range examples {
		r.CreatedAt = time.Time{} // now, in the order of the file
		set.Rules[i] = repository.Rule{Rule: r}
	}
	plan, err := repo.Import(ctx, set)
	if err != nil {
		return 0, fmt.Errorf("insert the example rules: %w", err)
	}
	return len(plan.Created), nil
}
