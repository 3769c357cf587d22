package page

import (
	"context"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/pipeline/overview"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

// System tells how the installation stands.
type System interface {
	Services(ctx context.Context) ([]roster.Report, error)
	Overview(ctx context.Context) (overview.Overview, error)
	Partitions() int
}

func (p *Pages) systemSection() section {
	return section{
		nav: view.NavItem{Path: "/system", Title: "System", Icon: "system", Key: "s"}, least: store.Agent,
		routes: func(r chi.Router) {
			p.get(r, "/system", store.Agent, p.system)
			p.get(r, "/system/now", store.Agent, p.systemNow)
		},
	}
}
