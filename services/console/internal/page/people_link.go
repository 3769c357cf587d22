package page

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/people"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// peopleLink makes a new one-time link for a user, for example when they have forgotten their password.
func (p *Pages) peopleLink(w http.ResponseWriter, r *http.Request) error {
	user, err := p.Store.User(r.Context(), chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	return p.showLink(w, r, user)
}

// showLink makes a link and shows it, this once.
func (p *Pages) showLink(w http.ResponseWriter, r *http.Request, user store.User) error {
	link, err := people.Link(r.Context(), p.Store, web.ActorOf(r), p.o.Sessions.Public, user, "/me")
	if err != nil {
		return err
	}
	return p.show(w, r, "people/link", "A link for "+user.Called(), map[string]any{"User": user, "Link": link, "Days": int(people.LinkAge.Hours() / 24)})
}

// peopleSignOut ends all sessions of a user.
func (p *Pages) peopleSignOut(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	except, _ := web.SessionOf(r.Context())
	n, err := p.Store.EndSessions(r.Context(), id, except.ID)
	if err != nil {
		return err
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "session.ended", Target: "user:" + id, Detail: map[string]any{"count": n}})
	if err != nil {
		return err
	}
	return p.done(w, r, "/people/"+id, "session_ended")
}
