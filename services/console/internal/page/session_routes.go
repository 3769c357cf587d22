package page

import "github.com/go-chi/chi/v5"

func (p *Pages) sessionSection() section {
	return section{routes: func(r chi.Router) {
		r.Get("/sign-in", p.action(p.signIn))
		r.Post("/sign-in", p.action(p.signInWithPassword))
		r.Post("/sign-out", p.action(p.signOut))
	}}
}
