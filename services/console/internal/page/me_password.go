package page

import (
	"net/http"
	"strconv"

	"github.com/parley-dm/parley/services/console/internal/password"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// mePassword sets a password. Who has one must know it: a browser that was left open is not enough.
func (p *Pages) mePassword(w http.ResponseWriter, r *http.Request) error {
	session, _ := web.SessionOf(r.Context())
	user := session.User
	problem := func(status int, text string) error { return p.showMe(w, r, status, meData{Problem: text}) }
	if user.PasswordHash != "" {
		if wait, ok := p.attempts.Try(user.Email, web.RemoteAddr(r)); !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
			return problem(http.StatusTooManyRequests, "That was too often. Wait a moment, then try again.")
		}
		right, err := password.Check(r.Context(), user.PasswordHash, r.PostFormValue("old"))
		if err != nil {
			return err
		}
		if !right {
			return problem(http.StatusUnprocessableEntity, "The password that you have now is another.")
		}
		p.attempts.Succeeded(user.Email)
	}
	fresh := r.PostFormValue("new")
	if err := password.Acceptable(fresh); err != nil {
		return problem(http.StatusUnprocessableEntity, "New "+err.Error()+".")
	}
	hash, err := password.Hash(r.Context(), fresh)
	if err != nil {
		return err
	}
	if err := p.Store.SetPassword(r.Context(), web.ActorOf(r), user.ID, hash, session.ID); err != nil {
		return err
	}
	return p.done(w, r, "/me", "password_set")
}
