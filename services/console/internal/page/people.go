package page

import (
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/store"
)

// peopleData is the list of users, and the form to add one, again after a problem.
type peopleData struct {
	Users                          []store.User
	Roles                          []store.Role
	Problem, Email, Name, Accounts string
	Role                           store.Role
}

// people lists who may sign in.
func (p *Pages) people(w http.ResponseWriter, r *http.Request) error {
	return p.showPeople(w, r, http.StatusOK, peopleData{Role: store.Agent})
}

func (p *Pages) showPeople(w http.ResponseWriter, r *http.Request, status int, data peopleData) (err error) {
	if data.Users, err = p.Store.Users(r.Context()); err != nil {
		return err
	}
	data.Roles = store.Roles
	return p.showWith(w, r, status, "people/people", "People", data)
}
