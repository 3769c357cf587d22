package page

import (
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/password"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// meData is a user's own page.
type meData struct {
	User      store.User
	Session   string // the one that asks
	Sessions  []store.Session
	Tokens    []store.Token
	Scopes    []store.APIScope
	MinLength int
	// Problem is what was wrong with the password, TokenProblem with the token; Token is a new one, shown once.
	Problem, TokenProblem, Token string
}

// me shows who is signed in, where else, and their tokens.
func (p *Pages) me(w http.ResponseWriter, r *http.Request) error {
	return p.showMe(w, r, http.StatusOK, meData{})
}

func (p *Pages) showMe(w http.ResponseWriter, r *http.Request, status int, data meData) (err error) {
	session, _ := web.SessionOf(r.Context())
	data.User, data.Session, data.MinLength = session.User, session.ID, password.MinLength
	if data.Sessions, err = p.Store.Sessions(r.Context(), data.User.ID); err != nil {
		return err
	}
	if data.Tokens, err = p.Store.Tokens(r.Context(), data.User.ID); err != nil {
		return err
	}
	data.Scopes = store.ScopesFor(data.User.Role)
	return p.showWith(w, r, status, "me/me", "Your account", data)
}
