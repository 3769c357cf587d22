package page

import (
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// signOut ends the session.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := p.sessions.SignOut(w, r); err != nil {
		return err
	}
	if session, ok := web.SessionOf(r.Context()); ok {
		err := p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "session.ended", Target: "user:" + session.User.ID})
		if err != nil {
			return err
		}
	}
	return p.done(w, r, "/sign-in", "signed_out")
}
