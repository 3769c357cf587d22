package hooks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// The bounds of a list of accounts.
const (
	maxAccounts  = 1000
	maxAccountID = 100 // characters
)

// WantedError says what is wrong with a webhook that somebody wants. The text is for people.
type WantedError struct{ Problem string }

func (e *WantedError) Error() string { return e.Problem }

// Wanted is what somebody wants a webhook to be.
type Wanted struct {
	URL    string
	Events []string
	// Accounts are those that are told of; none: all that whoever wants it sees.
	Accounts store.Scope
	// Key makes the webhook the same one when it is asked for again, within its user; a new one if empty.
	Key string
}

// Book is the list of webhooks as people and scripts see it and change it, each change with its audit entry. Whoever sees some
// accounts only finds, and makes, webhooks about those; any other is [store.ErrNotFound].
type Book struct {
	store *store.Store
	hooks *Hooks
}

// NewBook makes a Book; h is told of changes.
func NewBook(s *store.Store, h *Hooks) *Book { return &Book{store: s, hooks: h} }

// Standing is a webhook, and what it was told last, if anything.
type Standing struct {
	store.Webhook
	Last *store.WebhookDelivery
}

// List lists webhooks, the oldest first.
func (b *Book) List(ctx context.Context, scope store.Scope) ([]Standing, error) {
	all, err := b.store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	last, err := b.store.LastDeliveries(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Standing, 0, len(all))
	for i := range all {
		if !all[i].Within(scope) {
			continue
		}
		s := Standing{Webhook: all[i]}
		if d, ok := last[s.ID]; ok {
			s.Last = &d
		}
		out = append(out, s)
	}
	return out, nil
}

// Get finds one.
func (b *Book) Get(ctx context.Context, scope store.Scope, id string) (store.Webhook, error) {
	w, err := b.store.Webhook(ctx, id)
	if err == nil && !w.Within(scope) {
		err = store.ErrNotFound
	}
	return w, err
}

// Add adds one, switched on, and returns it with its secret. What is wrong with it is a [*WantedError].
func (b *Book) Add(ctx context.Context, by store.Actor, scope store.Scope, wanted Wanted) (store.Webhook, error) {
	w := store.Webhook{URL: strings.TrimSpace(wanted.URL), Secret: rand.Text(), Events: sorted(wanted.Events), Accounts: sorted(wanted.Accounts), Active: true}
	if len(w.Accounts) == 0 {
		w.Accounts = scope
	}
	if problem := b.problem(&w, scope); problem != "" {
		return w, &WantedError{problem}
	}
	if wanted.Key != "" {
		w.ID = uuid.UUID(dm.RowID("webhook", by.UserID, wanted.Key)).String()
	}
	w, err := b.store.AddWebhook(ctx, by, w)
	if errors.Is(err, store.ErrTooMany) {
		return w, &WantedError{fmt.Sprintf("there are %d webhooks, which is as many as there may be", store.MaxWebhooks)}
	}
	if err == nil {
		b.hooks.Changed()
	}
	return w, err
}

func sorted(all []string) []string {
	out := slices.Clone(all)
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *Book) problem(w *store.Webhook, scope store.Scope) string {
	if err := b.hooks.CheckURL(w.URL); err != nil {
		return err.Error()
	}
	if len(w.Events) == 0 {
		return "events: choose one or more of " + strings.Join(store.WebhookEvents, ", ")
	}
	for _, e := range w.Events {
		if !slices.Contains(store.WebhookEvents, e) {
			return fmt.Sprintf("events: got %q, expected of %s", e, strings.Join(store.WebhookEvents, ", "))
		}
	}
	if len(w.Accounts) > maxAccounts || slices.ContainsFunc(w.Accounts, func(id string) bool { return id == "" || len(id) > maxAccountID }) {
		return fmt.Sprintf("accounts: expected %d at most, by their ids", maxAccounts)
	}
	if !w.Within(scope) {
		return "accounts: there is one that is not yours to see"
	}
	return ""
}

// Switch switches one on or off. What is due while it is off has failed.
func (b *Book) Switch(ctx context.Context, by store.Actor, scope store.Scope, id string, on bool) error {
	return b.change(ctx, scope, id, func(w *store.Webhook) error { return b.store.SetWebhookActive(ctx, by, w.ID, on) })
}

// Rotate gives one another secret and returns it. It holds from the next attempt on.
func (b *Book) Rotate(ctx context.Context, by store.Actor, scope store.Scope, id string) (w store.Webhook, err error) {
	err = b.change(ctx, scope, id, func(found *store.Webhook) error {
		w = *found
		w.Secret = rand.Text()
		return b.store.SetWebhookSecret(ctx, by, w.ID, w.Secret)
	})
	return w, err
}

// Delete deletes one with its log.
func (b *Book) Delete(ctx context.Context, by store.Actor, scope store.Scope, id string) error {
	return b.change(ctx, scope, id, func(w *store.Webhook) error { return b.store.DeleteWebhook(ctx, by, w.ID) })
}

func (b *Book) change(ctx context.Context, scope store.Scope, id string, f func(*store.Webhook) error) error {
	w, err := b.Get(ctx, scope, id)
	if err == nil {
		err = f(&w)
	}
	if err == nil {
		b.hooks.Changed()
	}
	return err
}

// Deliveries is what one was told, before a delivery's id (0: the newest), newest first.
func (b *Book) Deliveries(ctx context.Context, scope store.Scope, id string, before int64, limit int) (store.Webhook, []store.WebhookDelivery, error) {
	w, err := b.Get(ctx, scope, id)
	if err != nil {
		return w, nil, err
	}
	all, err := b.store.Deliveries(ctx, w.ID, before, limit)
	return w, all, err
}

// SendAgain has a delivery that failed, or that waits for its next attempt, tried at once. One that was delivered is not kept.
func (b *Book) SendAgain(ctx context.Context, by store.Actor, scope store.Scope, id string, delivery int64) error {
	err := b.change(ctx, scope, id, func(w *store.Webhook) error { return b.store.DeliverAgain(ctx, by, w.ID, delivery) })
	if err == nil {
		nudge(b.hooks.wake)
	}
	return err
}
