package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
)

func (p *Pages) sessionSection() section {
	return section{routes: func(r chi.Router) {
		r.Get("/sign-in", p.action(p.signIn))
		r.Post("/sign-in", p.action(p.signInWithPassword))
		r.Post("/sign-out", p.action(p.signOut))
		r.Get("/welcome", p.action(p.link))
		r.Post("/welcome", p.action(p.useLink))
		if p.oidc != nil {
			r.Get("/sign-in/oidc", p.action(p.oidcBegin))
			r.Get("/sign-in/oidc/callback", p.action(p.oidcEnd))
		}
		p.get(r, "/me", store.Viewer, p.me)
		p.post(r, "/me/password", store.Viewer, p.mePassword)
		p.post(r, "/me/sessions/end", store.Viewer, p.meEndSession)
		p.post(r, "/me/tokens", store.Viewer, p.meAddToken)
		p.post(r, "/me/tokens/revoke", store.Viewer, p.meRevokeToken)
	}}
}
