package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

func (p *Pages) analyticsSection() section {
	return section{
		nav: view.NavItem{Path: "/analytics", Title: "Analytics", Icon: "analytics", Key: "a"}, least: store.Viewer,
		routes: func(r chi.Router) {
			p.get(r, "/analytics", store.Viewer, p.analytics)
			p.get(r, "/analytics/{chart}.svg", store.Viewer, p.analyticsChart)
			p.get(r, "/analytics.csv", store.Viewer, p.analyticsCSV)
		},
	}
}
