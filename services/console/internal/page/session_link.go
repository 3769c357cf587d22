package page

import (
	"errors"
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

var errLink = &web.Error{
	Status: http.StatusNotFound, Title: "This link does not work",
	Text: "It was used, is too old, or was replaced by another. Ask an owner for a new one, or sign in with your password.",
}

// link shows whose a one-time link is. Opening it does not use it up: programs that look into mail and chats open links.
func (p *Pages) link(w http.ResponseWriter, r *http.Request) error {
	token, next := r.URL.Query().Get("token"), web.Next(r.URL.Query().Get("next"))
	user, err := p.Store.LinkUser(r.Context(), web.HashToken(token))
	if errors.Is(err, store.ErrNotFound) {
		return errLink
	}
	if err != nil {
		return err
	}
	return p.show(w, r, "session/link", "Welcome", map[string]any{"User": user, "Token": token, "Next": next})
}

// useLink signs in with a link and uses it up.
func (p *Pages) useLink(w http.ResponseWriter, r *http.Request) error {
	user, err := p.Store.UseLink(r.Context(), web.HashToken(r.PostFormValue("token")))
	if errors.Is(err, store.ErrNotFound) {
		return errLink
	}
	if err != nil {
		return err
	}
	return p.enter(w, r, user, "link", web.Next(r.PostFormValue("next")))
}
