package page

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/console/internal/desk"
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
	if problem := p.unsayable(t, text, nonce); problem != "" {
		return refuse(problem)
	}
	last, err := p.Store.LastHeard(r.Context(), t.ID)
	if err != nil {
		return err
	}
	by := web.UserOf(r)
	_, held, err := p.Desk.Holder(r.Context(), t.Conversation)
	if err == nil && !held {
		err = p.Desk.Take(r.Context(), t.Conversation, by.Called(), time.Time{})
	}
	saying := desk.Saying{
		Conversation: t.Conversation, Nonce: by.ID + ":" + nonce, Parts: []dm.Part{{Kind: dm.PartText, Text: text}}, EventID: last.Meta.EventID, EventTime: last.At,
	}
	if err == nil {
		err = p.Desk.Say(r.Context(), saying)
	}
	if errors.Is(err, desk.ErrAway) {
		return refuse("The bus is away: nothing can be sent now. Your text is still here; try again in a moment.")
	}
	if err != nil {
		return err
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "message.sent", Target: "conversation:" + t.ID, Detail: map[string]any{"intent": saying.IntentID()}})
	if err != nil {
		return err
	}
	return p.done(w, r, p.back(r, t), "")
}

// unsayable says why a text cannot be sent.
func (p *Pages) unsayable(t *store.Talk, text, nonce string) string {
	switch w := windowOf(t.LastInboundAt, p.Now()); {
	case strings.TrimSpace(text) == "":
		return "Write something first."
	case len(text) > maxSaying:
		return fmt.Sprintf("The text has %d bytes; at most %d can be sent at once.", len(text), maxSaying)
	case strings.ContainsRune(text, 0):
		return "The text holds a character that cannot be sent."
	case len(nonce) < 16 || len(nonce) > 64:
		return "The form is not complete. Load the page again."
	case w.Kind == "none":
		return "The customer has not written yet: Meta lets nobody write first."
	case w.Kind == "closed":
		return "The customer's last message is older than 7 days: Meta takes no message before they write again."
	}
	for _, part := range graph.Expand([]dm.Part{{Kind: dm.PartText, Text: text}}) {
		if err := graph.Check(part); err != nil {
			return "Meta would refuse it: " + err.Error()
		}
	}
	return ""
}

// back is the conversation's page with the list's filters as they were.
func (p *Pages) back(r *http.Request, t *store.Talk) string {
	return parseInbox(r.URL.Query()).href("/inbox/" + t.ID)
}
