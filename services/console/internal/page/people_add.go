package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-dm/parley/services/console/internal/people"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// peopleAdd adds a user and shows the link that they sign in with first.
func (p *Pages) peopleAdd(w http.ResponseWriter, r *http.Request) error {
	form := peopleData{
		Email: r.PostFormValue("email"), Name: strings.TrimSpace(r.PostFormValue("name")), Role: store.Role(r.PostFormValue("role")),
		Accounts: r.PostFormValue("accounts"),
	}
	problem := func(text string) error {
		form.Problem = text
		return p.showPeople(w, r, http.StatusUnprocessableEntity, form)
	}
	user := store.User{Email: form.Email, Name: form.Name, Role: form.Role, Accounts: accountList(form.Accounts)}
	if err := people.Acceptable(user); err != nil {
		return problem(err.Error())
	}
	user, err := p.Store.AddUser(r.Context(), user)
	if errors.Is(err, store.ErrEmailTaken) {
		return problem("Somebody with this e-mail address is here already.")
	}
	if err != nil {
		return err
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "user.added", Target: "user:" + user.ID, Detail: map[string]any{"email": user.Email, "role": user.Role}})
	if err != nil {
		return err
	}
	return p.showLink(w, r, user)
}

// accountList reads ids apart by spaces or commas.
func accountList(raw string) store.Scope {
	ids := strings.FieldsFunc(raw, func(r rune) bool { return r == ',' || r == ';' || r <= ' ' })
	slices.Sort(ids)
	return slices.Compact(store.Scope(ids))
}
