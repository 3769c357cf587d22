package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

func (p *Pages) peopleSection() section {
	return section{
		nav: view.NavItem{Path: "/people", Title: "People", Icon: "people", Key: "p"}, least: store.Owner,
		routes: func(r chi.Router) {
			p.get(r, "/people", store.Owner, p.people)
			p.post(r, "/people", store.Owner, p.peopleAdd)
			p.get(r, "/people/{id}", store.Owner, p.peopleShow)
			p.post(r, "/people/{id}", store.Owner, p.peopleChange)
			p.post(r, "/people/{id}/link", store.Owner, p.peopleLink)
			p.post(r, "/people/{id}/sign-out", store.Owner, p.peopleSignOut)
			p.get(r, "/audit", store.Owner, p.audit)
		},
	}
}
