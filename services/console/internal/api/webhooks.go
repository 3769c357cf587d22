package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/services/console/internal/hooks"
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
	Repeatable     bool       `json:"repeatable" doc:"what it tells is still kept, so that it can be told again"`
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

type switchInput struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Active bool `json:"active" doc:"false: it is told nothing, and what waits for it fails"`
	}
}

type deliveryInput struct {
	ID       string `path:"id" format:"uuid"`
	Delivery int64  `path:"delivery" minimum:"1"`
	Key      string `header:"Idempotency-Key" maxLength:"200"`
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
		OperationID: "switch-webhook", Method: http.MethodPatch, Path: "/api/v1/webhooks/{id}", Summary: "Switch a webhook on or off",
		Tags: tags, Security: needs("webhooks:write"),
	}, a.switchWebhook)
	huma.Register(h, huma.Operation{
		OperationID: "rotate-webhook-secret", Method: http.MethodPost, Path: "/api/v1/webhooks/{id}/secret", Summary: "Give a webhook a new secret, from its next attempt on",
		Tags: tags, Security: needs("webhooks:write"),
	}, a.rotateWebhook)
	huma.Register(h, huma.Operation{
		OperationID: "delete-webhook", Method: http.MethodDelete, Path: "/api/v1/webhooks/{id}", Summary: "Delete a webhook and its log",
		DefaultStatus: http.StatusNoContent, Tags: tags, Security: needs("webhooks:write"),
	}, a.deleteWebhook)
	a.webhookDeliveries(h, tags)
}

func (a *API) webhookDeliveries(h huma.API, tags []string) {
	huma.Register(h, huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: "/api/v1/webhooks/{id}/deliveries", Summary: "What a webhook was told, newest first",
		Tags: tags, Security: needs("webhooks:write"),
	}, a.listWebhookDeliveries)
	huma.Register(h, huma.Operation{
		OperationID: "repeat-webhook-delivery", Method: http.MethodPost, Path: "/api/v1/webhooks/{id}/deliveries/{delivery}/again",
		Summary: "Try at once what failed, or waits for its next attempt", DefaultStatus: http.StatusAccepted, Tags: tags, Security: needs("webhooks:write"),
	}, a.repeatWebhookDelivery)
}

func shownWebhook(w *store.Webhook) Webhook {
	return Webhook{ID: w.ID, URL: w.URL, Events: w.Events, Accounts: w.Accounts, Active: w.Active, CreatedAt: w.CreatedAt}
}

// webhookFailed is failed for what the book of webhooks says.
func (a *API) webhookFailed(ctx context.Context, err error) error {
	var wrong *hooks.WantedError
	if errors.As(err, &wrong) {
		return huma.Error422UnprocessableEntity(wrong.Problem)
	}
	return a.failed(ctx, "webhook", err)
}

func (a *API) listWebhooks(ctx context.Context, _ *struct{}) (*webhooksOutput, error) {
	all, err := a.d.Webhooks.List(ctx, mustCaller(ctx).scope())
	if err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	out := &webhooksOutput{}
	out.Body.Webhooks = make([]Webhook, 0, len(all))
	for i := range all {
		out.Body.Webhooks = append(out.Body.Webhooks, shownWebhook(&all[i].Webhook))
	}
	return out, nil
}

func (a *API) createWebhook(ctx context.Context, in *webhookInput) (*webhookOutput, error) {
	who := mustCaller(ctx)
	w, err := a.d.Webhooks.Add(ctx, who.actor, who.scope(), hooks.Wanted{
		URL: in.Body.URL, Events: in.Body.Events, Accounts: in.Body.Accounts, Key: keyOf(ctx),
	})
	if err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	return withSecret(&w), nil
}

// withSecret is a webhook with its secret, for whoever has made it.
func withSecret(w *store.Webhook) *webhookOutput {
	out := &webhookOutput{Body: shownWebhook(w)}
	out.Body.Secret = w.Secret
	return out
}

func (a *API) switchWebhook(ctx context.Context, in *switchInput) (*webhookOutput, error) {
	who := mustCaller(ctx)
	err := a.d.Webhooks.Switch(ctx, who.actor, who.scope(), in.ID, in.Body.Active)
	if err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	w, err := a.d.Webhooks.Get(ctx, who.scope(), in.ID)
	if err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	return &webhookOutput{Body: shownWebhook(&w)}, nil
}

func (a *API) rotateWebhook(ctx context.Context, in *webhookIDInput) (*webhookOutput, error) {
	who := mustCaller(ctx)
	w, err := a.d.Webhooks.Rotate(ctx, who.actor, who.scope(), in.ID)
	if err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	return withSecret(&w), nil
}

func (a *API) deleteWebhook(ctx context.Context, in *webhookIDInput) (*struct{}, error) {
	who := mustCaller(ctx)
	if err := a.d.Webhooks.Delete(ctx, who.actor, who.scope(), in.ID); err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	return nil, nil //nolint:nilnil // huma's way to answer without a body
}

func (a *API) listWebhookDeliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	_, all, err := a.d.Webhooks.Deliveries(ctx, mustCaller(ctx).scope(), in.ID, in.Before, in.Limit)
	if err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	out := &deliveriesOutput{}
	out.Body.Deliveries = make([]WebhookDelivery, 0, len(all))
	for _, d := range all {
		out.Body.Deliveries = append(out.Body.Deliveries, WebhookDelivery{
			ID: d.ID, Event: d.Event, EventID: d.EventID, Account: d.Account, State: d.State, Attempts: d.Attempts, CreatedAt: d.CreatedAt,
			NextAttemptAt: d.NextAttemptAt, FinishedAt: d.FinishedAt, ResponseStatus: d.ResponseStatus, Error: d.Error, Repeatable: d.Repeatable(),
		})
	}
	if len(all) == in.Limit {
		out.Body.Next = all[len(all)-1].ID
	}
	return out, nil
}

func (a *API) repeatWebhookDelivery(ctx context.Context, in *deliveryInput) (*struct{}, error) {
	who := mustCaller(ctx)
	if err := a.d.Webhooks.SendAgain(ctx, who.actor, who.scope(), in.ID, in.Delivery); err != nil {
		return nil, a.webhookFailed(ctx, err)
	}
	return nil, nil //nolint:nilnil // huma's way to answer without a body
}
