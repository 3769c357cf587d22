package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// maxToken bounds a token; Meta's have some 200 characters.
const maxToken = 2000

// accountItem finds the account that a request is about among those that its user sees.
func (p *Pages) accountItem(r *http.Request) (*accountItem, error) {
	items, err := p.accountItems(r)
	if err != nil {
		return nil, busAway(err, "Nothing about accounts can be changed before it is back. Try again in a moment.")
	}
	key := chi.URLParam(r, "key")
	i := slices.IndexFunc(items, func(a accountItem) bool { return a.Key() == key })
	if i < 0 {
		return nil, web.ErrNotFound
	}
	return &items[i], nil
}

// accountsResume ends a pause. That of an app is about all its accounts, and so for who sees all.
func (p *Pages) accountsResume(w http.ResponseWriter, r *http.Request) error {
	item, err := p.accountItem(r)
	if err != nil {
		return err
	}
	if item.App != "" && len(web.ScopeOf(r)) > 0 {
		return &web.Error{Status: http.StatusForbidden, Title: "Not yours to resume", Text: "This pause is about all accounts of the app, and you see some of them only. Somebody who sees all can resume it."}
	}
	switch err = p.AccountStates.Resume(r.Context(), item.Key(), web.UserOf(r).Email); {
	case errors.Is(err, ops.ErrNotPaused):
		return p.done(w, r, "/accounts", "not_paused")
	case err != nil:
		return busAway(err, "The account is still paused. Try again in a moment.")
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "account.resumed", Target: "account:" + item.Key()})
	if err != nil {
		return err
	}
	return p.done(w, r, "/accounts", "resumed")
}

// accountsToken gives an account a new token. The token is shown nowhere again and logged nowhere.
func (p *Pages) accountsToken(w http.ResponseWriter, r *http.Request) error {
	item, err := p.accountItem(r)
	if err != nil {
		return err
	}
	refuse := func(problem string) error {
		return p.showAccounts(w, r, http.StatusUnprocessableEntity, accountsData{Problem: problem, ProblemKey: item.Key()})
	}
	token := strings.TrimSpace(r.PostFormValue("token"))
	switch {
	case item.App != "":
		return web.ErrNotFound
	case len(token) < 20 || len(token) > maxToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return refuse("This is no access token: expected 20 to 2,000 letters, digits and signs, without spaces.")
	}
	switch err = p.Tokens.SetToken(r.Context(), item.Channel, item.Account, config.Secret(token)); {
	case errors.Is(err, ops.ErrNoKey):
		return refuse("The console cannot encrypt tokens: set TOKEN_KEY for it, to the senders' key.")
	case errors.Is(err, ops.ErrUnknownToken):
		return refuse("No sender has told of this account's configured token yet. Start the sender with the account configured, then try again.")
	case err != nil:
		return busAway(err, "The account has the token that it had. Try again in a moment.")
	}
	err = p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{Action: "account.token_set", Target: "account:" + item.Key()})
	if err != nil {
		return err
	}
	return p.done(w, r, "/accounts", "token_set")
}
