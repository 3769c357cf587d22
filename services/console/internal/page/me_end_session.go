package page

import (
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// meEndSession ends one of the user's sessions, or, with all, every one but this.
func (p *Pages) meEndSession(w http.ResponseWriter, r *http.Request) (err error) {
	session, _ := web.SessionOf(r.Context())
	if r.PostFormValue("all") != "" {
		_, err = p.Store.EndSessions(r.Context(), session.User.ID, session.ID)
	} else {
		err = p.Store.EndSession(r.Context(), session.User.ID, r.PostFormValue("id"))
	}
	if err != nil {
		return err
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "session.ended", Target: "user:" + session.User.ID})
	if err != nil {
		return err
	}
	return p.done(w, r, "/me", "session_ended")
}
