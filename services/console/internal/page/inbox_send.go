package page

import (
	"errors"
	"net/http"
	"strings"

	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// inboxSend sends what a person wrote. Where the bot has the conversation the person takes it over first: two would talk at
// once. The form's nonce makes a second click, and a page that is sent again, the same message.
func (p *Pages) inboxSend(w http.ResponseWriter, r *http.Request) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	text, nonce := strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n"), r.PostFormValue("nonce")
	refuse := func(problem string) error {
		return p.thread(w, r, http.StatusUnprocessableEntity, func(d *threadData) { d.Problem, d.Draft, d.Nonce = problem, text, nonce })
	}
	if len(nonce) < 16 || len(nonce) > 64 {
		return refuse("The form is not complete. Load the page again.")
	}
	_, err = p.Desk.Say(r.Context(), person(r), desk.Saying{Conversation: atDesk(t), Text: text, Key: nonce, TakeOver: true})
	var refused *desk.RefusedError
	switch {
	case errors.As(err, &refused):
		return refuse(refused.Text)
	case errors.Is(err, ops.ErrAway):
		return refuse("The bus is away: nothing can be sent now. Your text is still here; try again in a moment.")
	case err != nil:
		return err
	}
	return p.done(w, r, p.back(r, t), "")
}

// person is who asks, for the desk.
func person(r *http.Request) desk.Person {
	user := web.UserOf(r)
	return desk.Person{Actor: web.ActorOf(r), Called: user.Called()}
}

// atDesk names a conversation for the desk.
func atDesk(t *store.Talk) desk.Conversation {
	return desk.Conversation{ID: t.ID, Conversation: t.Conversation}
}

// back is the conversation's page with the list's filters as they were.
func (p *Pages) back(r *http.Request, t *store.Talk) string {
	return parseInbox(r.URL.Query()).href("/inbox/" + t.ID)
}
