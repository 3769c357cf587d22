package page

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// deliveriesPage is how many deliveries a page has.
const deliveriesPage = 50

// webhookEvent is an event that a webhook may be told of, in words.
type webhookEvent struct {
	Name, Help string
	Chosen     bool
}

// webhooksData is every webhook, and the form that adds one as it was filled in.
type webhooksData struct {
	Webhooks               []hooks.Standing
	Events                 []webhookEvent
	URL, Accounts, Problem string
	// Full: there are as many as there may be.
	Full bool
}

// webhooks lists the programs that are told of what happens.
func (p *Pages) webhooks(w http.ResponseWriter, r *http.Request) error {
	return p.showWebhooks(w, r, http.StatusOK, webhooksData{Events: webhookEvents(store.WebhookEvents)})
}

// webhookEvents are all events, some of them chosen.
func webhookEvents(chosen []string) []webhookEvent {
	help := map[string]string{
		store.EventReceived: "a customer wrote", store.EventSent: "a reply was sent",
		store.EventHandedOff: "a person has a conversation", store.EventFailed: "a reply was not sent, or nobody knows",
	}
	out := make([]webhookEvent, 0, len(store.WebhookEvents))
	for _, name := range store.WebhookEvents {
		out = append(out, webhookEvent{Name: name, Help: help[name], Chosen: slices.Contains(chosen, name)})
	}
	return out
}

func (p *Pages) showWebhooks(w http.ResponseWriter, r *http.Request, status int, data webhooksData) (err error) {
	if data.Webhooks, err = p.Webhooks.List(r.Context(), web.ScopeOf(r)); err != nil {
		return err
	}
	data.Full = len(data.Webhooks) >= store.MaxWebhooks
	return p.showWith(w, r, status, "webhooks/webhooks", "Webhooks", data)
}

// webhookData is one webhook with a part of its log.
type webhookData struct {
	store.Webhook
	Deliveries []store.WebhookDelivery
	More       string
	// NewSecret is shown once.
	NewSecret string
}

// webhooksShow shows one with what it was told.
func (p *Pages) webhooksShow(w http.ResponseWriter, r *http.Request) error {
	return p.showWebhook(w, r, chi.URLParam(r, "id"), "")
}

// showWebhook shows a webhook; with a secret that was made for it just now, if any.
func (p *Pages) showWebhook(w http.ResponseWriter, r *http.Request, id, secret string) (err error) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // from the start, where it is none
	data := webhookData{NewSecret: secret}
	data.Webhook, data.Deliveries, err = p.Webhooks.Deliveries(r.Context(), web.ScopeOf(r), id, max(before, 0), deliveriesPage+1)
	if err != nil {
		return err
	}
	if len(data.Deliveries) > deliveriesPage {
		data.Deliveries = data.Deliveries[:deliveriesPage]
		data.More = "/webhooks/" + data.ID + "?before=" + strconv.FormatInt(data.Deliveries[deliveriesPage-1].ID, 10)
	}
	data.Secret = "" // nothing on the page has it but NewSecret
	return p.show(w, r, "webhooks/show", "Webhook", data)
}
