package page

import (
	"context"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

// AccountStates tells how accounts stand and lets one go on.
type AccountStates interface {
	States(ctx context.Context) ([]accounts.State, error)
	Resume(ctx context.Context, key, by string) error
}

// Tokens gives accounts new tokens.
type Tokens interface {
	TakesTokens() bool
	SetToken(ctx context.Context, channel dm.Channel, account string, token config.Secret) error
}

func (p *Pages) accountsSection() section {
	return section{
		nav: view.NavItem{Path: "/accounts", Title: "Accounts", Icon: "accounts", Key: "c"}, least: store.Viewer,
		routes: func(r chi.Router) {
			p.get(r, "/accounts", store.Viewer, p.accounts)
			p.post(r, "/accounts/{key}/resume", store.Agent, p.accountsResume)
			p.post(r, "/accounts/{key}/token", store.Owner, p.accountsToken)
		},
	}
}
