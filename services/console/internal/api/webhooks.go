package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/services/console/internal/store"
)

// Webhook is an outgoing webhook as the API shows it. Its secret is shown once, when it is made.
type Webhook struct {
	ID        string    `json:"id" format:"uuid"`
	URL       string    `json:"url"`
	Events    []string  `json:"events"`
	Accounts  []string  `json:"accounts" doc:"the accounts that are told of; none listed: all"`
	Active    bool      `json:"active"`
	CreatedAt time.Time `json:"created_at"`
	Secret    string    `json:"secret,omitempty" doc:"the key of X-Parley-Signature-256; shown once"`
}

// WebhookDelivery is one thing that a webhook is told, and what came of it.
type WebhookDelivery struct {
	ID             int64      `json:"id"`
	Event          string     `json:"event"`
	EventID        string     `json:"event_id"`
	Account        string     `json:"account"`
	State          string     `json:"state" enum:"waiting,delivered,failed"`
	Attempts       int        `json:"attempts"`
	CreatedAt      time.Time  `json:"created_at"`
	NextAttemptAt  *time.Time `json:"next_attempt_at,omitempty"`
	FinishedAt     *time.Time `json:"finished_at,omitempty"`
	ResponseStatus *int       `json:"response_status,omitempty"`
	Error          string     `json:"error,omitempty"`
}

type webhooksOutput struct {
	Body struct {
		Webhooks []Webhook `json:"webhooks"`
	}
}

type webhookInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		URL      string   `json:"url" minLength:"1" maxLength:"2000"`
		Events   []string `json:"events" minItems:"1" maxItems:"10" enum:"message.received,reply.sent,conversation.handed_off,reply.failed"`
		Accounts []string `json:"accounts,omitempty" maxItems:"1000" doc:"none: all that you see"`
	}
}

type webhookOutput struct{ Body Webhook }

type webhookIDInput struct {
	ID  string `path:"id" format:"uuid"`
	Key string `header:"Idempotency-Key" maxLength:"200"`
}

type deliveriesInput struct {
	ID     string `path:"id" format:"uuid"`
	Before int64  `query:"before" doc:"next of the page before" minimum:"0"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type deliveriesOutput struct {
	Body struct {
		Deliveries []WebhookDelivery `json:"deliveries"`
		Next       int64             `json:"next,omitempty"`
	}
}

func (a *API) webhooks(h huma.API) {
	tags := []string{"Webhooks"}
	huma.Register(h, huma.Operation{
		OperationID: "list-webhooks", Method: http.MethodGet, Path: "/api/v1/webhooks", Summary: "List outgoing webhooks",
		Tags: tags, Security: needs("webhooks:write"),
	}, a.listWebhooks)
	huma.Register(h, huma.Operation{
		OperationID: "create-webhook", Method: http.MethodPost, Path: "/api/v1/webhooks", Summary: "Have another program told of what happens",
		Description:   "Each is posted as JSON, signed: X-Parley-Signature-256 is sha256= and the HMAC of the body. It is tried again for a day.",
		DefaultStatus: http.StatusCreated, Tags: tags, Security: needs("webhooks:write"),
	}, a.createWebhook)
	huma.Register(h, huma.Operation{
		OperationID: "delete-webhook", Method: http.MethodDelete, Path: "/api/v1/webhooks/{id}", Summary: "Delete a webhook and its log",
		DefaultStatus: http.StatusNoContent, Tags: tags, Security: needs("webhooks:write"),
	}, a.deleteWebhook)
	huma.Register(h, huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: "/api/v1/webhooks/{id}/deliveries", Summary: "What a webhook was told, newest first",
		Tags: tags, Security: needs("webhooks:write"),
	}, a.listWebhookDeliveries)
}

func shownWebhook(w *store.Webhook) Webhook {
	return Webhook{ID: w.ID, URL: w.URL, Events: w.Events, Accounts: w.Accounts, Active: w.Active, CreatedAt: w.CreatedAt}
}

// within says whether the caller sees all accounts of a webhook.
func (c *caller) within(w *store.Webhook) bool {
	if c.everything() {
		return true
	}
	for _, account := range w.Accounts {
		if !contains(c.user.Accounts, account) {
			return false
		}
	}
	return len(w.Accounts) > 0
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func (a *API) listWebhooks(ctx context.Context, _ *struct{}) (*webhooksOutput, error) {
	all, err := a.d.Store.Webhooks(ctx)
	if err != nil {
		return nil, a.failed(ctx, "webhooks", err)
	}
	out := &webhooksOutput{}
	out.Body.Webhooks = []Webhook{}
	for i := range all {
		if mustCaller(ctx).within(&all[i]) {
			out.Body.Webhooks = append(out.Body.Webhooks, shownWebhook(&all[i]))
		}
	}
	return out, nil
}

func (a *API) createWebhook(ctx context.Context, in *webhookInput) (*webhookOutput, error) {
	if err := a.d.CheckURL(in.Body.URL); err != nil {
		return nil, huma.Error422UnprocessableEntity("url: " + err.Error())
	}
	who := mustCaller(ctx)
	w := store.Webhook{URL: in.Body.URL, Secret: rand.Text(), Events: in.Body.Events, Accounts: in.Body.Accounts, Active: true, CreatedAt: a.d.Now().UTC()}
	if len(w.Accounts) == 0 {
		w.Accounts = who.scope()
	}
	if !who.within(&w) {
		return nil, huma.Error422UnprocessableEntity("accounts: there is one that is not yours to see")
	}
	id, err := a.d.Store.AddWebhook(ctx, who.actor, w)
	if err != nil {
		return nil, a.failed(ctx, "webhook", err)
	}
	a.d.WebhooksChanged()
	w.ID = id
	out := &webhookOutput{Body: shownWebhook(&w)}
	out.Body.Secret = w.Secret
	return out, nil
}

// webhook finds one that the caller sees.
func (a *API) webhook(ctx context.Context, id string) (store.Webhook, error) {
	w, err := a.d.Store.Webhook(ctx, id)
	if err == nil && !mustCaller(ctx).within(&w) {
		err = store.ErrNotFound
	}
	if err != nil {
		return w, a.failed(ctx, "webhook", err)
	}
	return w, nil
}

func (a *API) deleteWebhook(ctx context.Context, in *webhookIDInput) (*struct{}, error) {
	if _, err := a.webhook(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := a.d.Store.DeleteWebhook(ctx, mustCaller(ctx).actor, in.ID); err != nil {
		return nil, a.failed(ctx, "webhook", err)
	}
	a.d.WebhooksChanged()
	return nil, nil //nolint:nilnil // huma's way to answer without a body
}

func (a *API) listWebhookDeliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	w, err := a.webhook(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	all, err := a.d.Store.Deliveries(ctx, w.ID, in.Before, in.Limit)
	if err != nil {
		return nil, a.failed(ctx, "webhook's deliveries", err)
	}
	out := &deliveriesOutput{}
	out.Body.Deliveries = make([]WebhookDelivery, 0, len(all))
	for _, d := range all {
		out.Body.Deliveries = append(out.Body.Deliveries, WebhookDelivery{
			ID: d.ID, Event: d.Event, EventID: d.EventID, Account: d.Account, State: d.State, Attempts: d.Attempts, CreatedAt: d.CreatedAt,
			NextAttemptAt: d.NextAttemptAt, FinishedAt: d.FinishedAt, ResponseStatus: d.ResponseStatus, Error: d.Error,
		})
	}
	if len(all) == in.Limit {
		out.Body.Next = all[len(all)-1].ID
	}
	return out, nil
}
