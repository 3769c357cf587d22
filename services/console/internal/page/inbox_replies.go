package page

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// repliesData is the saved replies, and the form as it was sent where something was wrong with it.
type repliesData struct {
	Replies  []store.SavedReply
	Form     store.SavedReply
	Problem  string
	Accounts []string
	ForAll   bool
}

// inboxReplies lists the texts that people send often.
func (p *Pages) inboxReplies(w http.ResponseWriter, r *http.Request) error {
	return p.replies(w, r, http.StatusOK, store.SavedReply{}, "")
}

func (p *Pages) replies(w http.ResponseWriter, r *http.Request, status int, form store.SavedReply, problem string) error {
	scope := web.ScopeOf(r)
	data := repliesData{Form: form, Problem: problem, ForAll: len(scope) == 0}
	var err error
	if data.Replies, err = p.Store.SavedReplies(r.Context(), scope, ""); err != nil {
		return err
	}
	if data.Accounts, err = p.Store.InboxAccounts(r.Context(), scope, inboxAccounts); err != nil {
		return err
	}
	return p.showWith(w, r, status, "inbox/replies", "Saved replies", data)
}

var shortcut = regexp.MustCompile(`^[^\s/]{1,40}$`)

// inboxAddReply adds one.
func (p *Pages) inboxAddReply(w http.ResponseWriter, r *http.Request) error {
	form := store.SavedReply{
		Shortcut: strings.TrimPrefix(strings.TrimSpace(r.PostFormValue("shortcut")), "/"), Account: r.PostFormValue("account"),
		Body: strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("body"), "\r\n", "\n")),
	}
	var problem string
	switch {
	case !shortcut.MatchString(form.Shortcut) || strings.ContainsRune(form.Shortcut, 0):
		problem = "A shortcut has 1 to 40 characters, no space and no slash."
	case form.Body == "" || len(form.Body) > desk.MaxText || strings.ContainsRune(form.Body, 0):
		problem = fmt.Sprintf("A reply has 1 to %d bytes.", desk.MaxText)
	default:
		err := p.Store.AddSavedReply(r.Context(), web.ScopeOf(r), web.ActorOf(r), form)
		if err == nil {
			return p.done(w, r, "/inbox/replies", "saved")
		}
		if !errors.Is(err, store.ErrShortcutTaken) {
			return err
		}
		problem = "There is one with this shortcut already."
	}
	return p.replies(w, r, http.StatusUnprocessableEntity, form, problem)
}

// inboxDeleteReply deletes one.
func (p *Pages) inboxDeleteReply(w http.ResponseWriter, r *http.Request) error {
	if err := p.Store.DeleteSavedReply(r.Context(), web.ScopeOf(r), web.ActorOf(r), chi.URLParam(r, "reply")); err != nil {
		return err
	}
	return p.done(w, r, "/inbox/replies", "deleted")
}
