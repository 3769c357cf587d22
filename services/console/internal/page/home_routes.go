package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

func (p *Pages) homeSection() section {
	return section{
		nav: view.NavItem{Path: "/", Title: "Home", Icon: "home", Key: "h"}, least: store.Viewer,
		routes: func(r chi.Router) {
			p.get(r, "/", store.Viewer, p.home)
			p.get(r, "/live", store.Viewer, p.live)
			r.Post("/theme", p.action(p.theme))
		},
	}
}
