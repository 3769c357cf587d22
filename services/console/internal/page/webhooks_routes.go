package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

func (p *Pages) webhooksSection() section {
	return section{
		nav: view.NavItem{Path: "/webhooks", Title: "Webhooks", Icon: "webhook", Key: "w"}, least: store.Owner,
		routes: func(r chi.Router) {
			p.get(r, "/webhooks", store.Owner, p.webhooks)
			p.post(r, "/webhooks", store.Owner, p.webhooksAdd)
			p.get(r, "/webhooks/{id}", store.Owner, p.webhooksShow)
			p.post(r, "/webhooks/{id}/switch", store.Owner, p.webhooksSwitch)
			p.post(r, "/webhooks/{id}/secret", store.Owner, p.webhooksSecret)
			p.post(r, "/webhooks/{id}/delete", store.Owner, p.webhooksDelete)
			p.post(r, "/webhooks/{id}/deliveries/{delivery}/again", store.Owner, p.webhooksAgain)
		},
	}
}
