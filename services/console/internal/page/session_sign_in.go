package page

import (
	"errors"
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/password"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// signInForm is the form as it is shown, again after a problem.
type signInForm struct{ Email, Next, Problem string }

// signIn shows the form; who is signed in goes on.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) error {
	next := web.Next(r.URL.Query().Get("next"))
	if _, ok := web.SessionOf(r.Context()); ok {
		return p.done(w, r, next, "")
	}
	return p.show(w, r, "session/sign_in", "Sign in", signInForm{Next: next})
}

// signInWithPassword checks the password. It says the same of an unknown address and of a wrong password, after the same
// work.
func (p *Pages) signInWithPassword(w http.ResponseWriter, r *http.Request) error {
	form := signInForm{Email: r.PostFormValue("email"), Next: web.Next(r.PostFormValue("next"))}
	user, err := p.Store.UserByEmail(r.Context(), form.Email)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	right, err := password.Check(r.Context(), user.PasswordHash, r.PostFormValue("password"))
	if err != nil {
		return err
	}
	if !right || user.DisabledAt != nil {
		form.Problem = "The e-mail address or the password is wrong."
		return p.showWith(w, r, http.StatusUnprocessableEntity, "session/sign_in", "Sign in", form)
	}
	if err := p.sessions.SignIn(w, r, user, "password"); err != nil {
		return err
	}
	return p.done(w, r, form.Next, "")
}
