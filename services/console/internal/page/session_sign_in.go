package page

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/password"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// signInForm is the form as it is shown, again after a problem.
type signInForm struct {
	Email, Next, Problem string
	OIDC                 bool
}

// signIn shows the form; who is signed in goes on.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) error {
	next := web.Next(r.URL.Query().Get("next"))
	if _, ok := web.SessionOf(r.Context()); ok {
		return p.done(w, r, next, "")
	}
	return p.show(w, r, "session/sign_in", "Sign in", signInForm{Next: next, OIDC: p.oidc != nil})
}

// signInWithPassword checks the password. It says the same of an unknown address and of a wrong password, after the same
// work.
func (p *Pages) signInWithPassword(w http.ResponseWriter, r *http.Request) error {
	form := signInForm{Email: r.PostFormValue("email"), Next: web.Next(r.PostFormValue("next")), OIDC: p.oidc != nil}
	account := strings.ToLower(strings.TrimSpace(form.Email))
	if wait, ok := p.attempts.Try(account, web.RemoteAddr(r)); !ok {
		p.Log.WarnContext(r.Context(), "sign_in.limited", "remote_addr", web.RemoteAddr(r))
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
		form.Problem = fmt.Sprintf("That was too often. Wait %d seconds, then try again.", int(wait.Seconds()))
		return p.showWith(w, r, http.StatusTooManyRequests, "session/sign_in", "Sign in", form)
	}
	user, err := p.Store.UserByEmail(r.Context(), account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	right, err := password.Check(r.Context(), user.PasswordHash, r.PostFormValue("password"))
	if err != nil {
		return err
	}
	if !right || user.DisabledAt != nil {
		p.Log.WarnContext(r.Context(), "sign_in.refused", "remote_addr", web.RemoteAddr(r), "user_id", user.ID)
		form.Problem = "The e-mail address or the password is wrong."
		return p.showWith(w, r, http.StatusUnprocessableEntity, "session/sign_in", "Sign in", form)
	}
	p.attempts.Succeeded(account)
	return p.enter(w, r, user, "password", form.Next)
}

// enter signs a user in, whichever way they have shown who they are.
func (p *Pages) enter(w http.ResponseWriter, r *http.Request, user store.User, method, next string) error {
	if err := p.sessions.SignIn(w, r, user, method); err != nil {
		return err
	}
	by := store.Actor{UserID: user.ID, Name: user.Email, Via: "console", RemoteAddr: web.RemoteAddr(r)}
	err := p.Store.Audit(r.Context(), by, store.Change{Action: "session.started", Target: "user:" + user.ID, Detail: map[string]any{"method": method}})
	if err != nil {
		return err
	}
	p.Log.InfoContext(r.Context(), "sign_in.done", "user_id", user.ID, "method", method, telemetry.KeyRequest, web.RequestID(r.Context()))
	return p.done(w, r, next, "")
}
