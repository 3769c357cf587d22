package page

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// webhooksAdd adds a webhook and shows its secret, this once.
func (p *Pages) webhooksAdd(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return web.BadRequest("The form cannot be read.")
	}
	form := webhooksData{URL: r.PostFormValue("url"), Accounts: r.PostFormValue("accounts"), Events: webhookEvents(r.PostForm["event"])}
	added, err := p.Webhooks.Add(r.Context(), web.ActorOf(r), web.ScopeOf(r), hooks.Wanted{
		URL: form.URL, Events: r.PostForm["event"], Accounts: accountList(form.Accounts),
	})
	var wrong *hooks.WantedError
	if errors.As(err, &wrong) {
		form.Problem = wrong.Problem
		return p.showWebhooks(w, r, http.StatusUnprocessableEntity, form)
	}
	if err != nil {
		return err
	}
	return p.showWebhook(w, r, added.ID, added.Secret)
}

// webhooksSwitch switches a webhook on or off.
func (p *Pages) webhooksSwitch(w http.ResponseWriter, r *http.Request) error {
	id, on, notice := chi.URLParam(r, "id"), r.PostFormValue("active") == "1", "webhook_off"
	if on {
		notice = "webhook_on"
	}
	if err := p.Webhooks.Switch(r.Context(), web.ActorOf(r), web.ScopeOf(r), id, on); err != nil {
		return err
	}
	return p.done(w, r, "/webhooks/"+id, notice)
}

// webhooksSecret gives a webhook a new secret and shows it, this once.
func (p *Pages) webhooksSecret(w http.ResponseWriter, r *http.Request) error {
	changed, err := p.Webhooks.Rotate(r.Context(), web.ActorOf(r), web.ScopeOf(r), chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	return p.showWebhook(w, r, changed.ID, changed.Secret)
}

// webhooksDelete deletes a webhook with its log.
func (p *Pages) webhooksDelete(w http.ResponseWriter, r *http.Request) error {
	if err := p.Webhooks.Delete(r.Context(), web.ActorOf(r), web.ScopeOf(r), chi.URLParam(r, "id")); err != nil {
		return err
	}
	return p.done(w, r, "/webhooks", "deleted")
}

// webhooksAgain has one delivery tried again at once.
func (p *Pages) webhooksAgain(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	delivery, err := strconv.ParseInt(chi.URLParam(r, "delivery"), 10, 64)
	if err != nil {
		return web.ErrNotFound
	}
	if err := p.Webhooks.SendAgain(r.Context(), web.ActorOf(r), web.ScopeOf(r), id, delivery); err != nil {
		return err
	}
	return p.done(w, r, "/webhooks/"+id, "sent_again")
}
