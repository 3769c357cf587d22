package standalone

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/services/standalone/internal/explain"
)

type whyCommand struct {
	Message  string `arg:"" help:"Meta's id of the message (its mid), or its id in the table messages."`
	Account  string `help:"The account that it was written to, or by; needed where several have a message of that name."`
	ShowText bool   `help:"Also print what was said. The words that a rule matched on are printed in any case."`
	JSON     bool   `help:"As JSON."`
}

// Run explains one message.
func (c *whyCommand) Run(ctx context.Context, inv Invocation) error {
	return withDatabase(ctx, inv, func(pool *pgxpool.Pool) error {
		archive := explain.Archive{Messages: repository.NewMessages(pool), Events: repository.NewEvents(pool)}
		x, err := explain.Explain(ctx, archive, c.Account, c.Message)
		var ambiguous *explain.AmbiguousError
		if errors.As(err, &ambiguous) {
			return usage(err)
		}
		if err != nil {
			return err
		}
		if !c.ShowText {
			x.Withhold()
		}
		if c.JSON {
			lines := json.NewEncoder(inv.Stdout)
			lines.SetIndent("", "  ")
			return lines.Encode(x)
		}
		return x.Print(inv.Stdout)
	})
}

// withDatabase opens DATABASE_URL for one command, and makes sure that its schema is current.
func withDatabase(ctx context.Context, inv Invocation, f func(*pgxpool.Pool) error) error {
	settings, err := config.Load[config.Database](inv.Environ)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, settings, postgres.Options{Name: "command", MaxConns: 2})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.CheckSchema(ctx, pool); err != nil {
		return err
	}
	return f(pool)
}
