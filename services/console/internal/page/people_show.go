package page

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/people"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// personData is one user as owners see them.
type personData struct {
	User     store.User
	Sessions []store.Session
	Entries  []store.Entry
	Roles    []store.Role
	Problem  string
	Self     bool
}

// peopleShow shows a user.
func (p *Pages) peopleShow(w http.ResponseWriter, r *http.Request) error {
	user, err := p.Store.User(r.Context(), chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	return p.showPerson(w, r, http.StatusOK, personData{User: user})
}

func (p *Pages) showPerson(w http.ResponseWriter, r *http.Request, status int, data personData) (err error) {
	if data.Sessions, err = p.Store.Sessions(r.Context(), data.User.ID); err != nil {
		return err
	}
	if data.Entries, err = p.Store.AuditLog(r.Context(), store.AuditFilter{UserID: data.User.ID, Limit: 10}); err != nil {
		return err
	}
	data.Roles, data.Self = store.Roles, data.User.ID == web.UserOf(r).ID
	return p.showWith(w, r, status, "people/show", data.User.Called(), data)
}

// peopleChange changes a user's name, role and accounts, and lets them in or out.
func (p *Pages) peopleChange(w http.ResponseWriter, r *http.Request) error {
	user, err := p.Store.User(r.Context(), chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	user.Name, user.Role = strings.TrimSpace(r.PostFormValue("name")), store.Role(r.PostFormValue("role"))
	user.Accounts = accountList(r.PostFormValue("accounts"))
	change := store.UserChange{Name: user.Name, Role: user.Role, Accounts: user.Accounts, Disabled: r.PostFormValue("enabled") == ""}
	err = people.Acceptable(user)
	if err == nil {
		err = p.Store.ChangeUser(r.Context(), web.ActorOf(r), user.ID, change)
		if err != nil && !errors.Is(err, store.ErrLastOwner) {
			return err
		}
		if err != nil {
			err = errors.New("somebody must be an owner of all accounts: make somebody else one first")
		}
	}
	if err != nil {
		return p.showPerson(w, r, http.StatusUnprocessableEntity, personData{User: user, Problem: err.Error()})
	}
	return p.done(w, r, "/people/"+user.ID, "saved")
}
