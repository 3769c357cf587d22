package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// Account is how an account stands, as the API shows it.
type Account struct {
	Key     string        `json:"key" doc:"names it; channel.account, or app.login for all accounts of an app"`
	Account string        `json:"account,omitempty"`
	App     string        `json:"app,omitempty"`
	Name    string        `json:"name,omitempty" doc:"what it is called where it is configured"`
	Pause   *AccountPause `json:"pause,omitempty" doc:"why it may not send; absent while it may"`
	Parked  uint64        `json:"parked" doc:"messages that wait for the pause to end"`
	Token   *AccountToken `json:"token,omitempty"`
	Usage   *AccountUsage `json:"usage,omitempty" doc:"absent while Meta has told nothing"`
	Updated time.Time     `json:"updated"`
}

// AccountPause is why an account may not send.
type AccountPause struct {
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until" doc:"when it is tried again"`
	Class    string    `json:"class" example:"token_dead"`
	Reason   string    `json:"reason"`
	WhatToDo string    `json:"what_to_do"`
}

// AccountToken is what is known of an account's token, without the token.
type AccountToken struct {
	Valid   bool       `json:"valid"`
	Checked time.Time  `json:"checked"`
	Expires *time.Time `json:"expires,omitempty"`
	Problem string     `json:"problem,omitempty"`
}

// AccountUsage is how much of what Meta allows is used up.
type AccountUsage struct {
	Percent int       `json:"percent" doc:"the higher one of the account's and its app's; at 100 Meta refuses"`
	Rate    float64   `json:"rate" doc:"the share of its full rate at which the account sends for that"`
	At      time.Time `json:"at"`
}

type accountsOutput struct {
	Body struct {
		Accounts []Account `json:"accounts" doc:"those that there is something to tell of"`
	}
}

type resumeInput struct {
	AccountKey string `path:"key" maxLength:"200" example:"instagram.17841400000000001"`
	Key        string `header:"Idempotency-Key" maxLength:"200"`
}

func (a *API) accounts(h huma.API) {
	tags := []string{"Accounts"}
	huma.Register(h, huma.Operation{
		OperationID: "list-accounts", Method: http.MethodGet, Path: "/api/v1/accounts", Summary: "See how accounts stand",
		Tags: tags, Security: needs("accounts:read"),
	}, a.listAccounts)
	huma.Register(h, huma.Operation{
		OperationID: "resume-account", Method: http.MethodPost, Path: "/api/v1/accounts/{key}/resume", Summary: "End an account's pause: what waits is tried at once",
		Tags: tags, Security: needs("accounts:write"), DefaultStatus: http.StatusNoContent,
	}, a.resumeAccount)
}

func (a *API) listAccounts(ctx context.Context, _ *struct{}) (*accountsOutput, error) {
	states, err := a.d.Ops.States(ctx)
	if err != nil {
		return nil, a.failed(ctx, "accounts", err)
	}
	who := mustCaller(ctx)
	out := &accountsOutput{}
	out.Body.Accounts = []Account{}
	for _, s := range states {
		if who.everything() || slices.Contains(who.user.Accounts, s.Account) {
			out.Body.Accounts = append(out.Body.Accounts, account(&s))
		}
	}
	return out, nil
}

func account(s *accounts.State) Account {
	out := Account{Key: s.Key(), Account: s.Account, App: s.App, Name: s.Name, Parked: s.Parked, Updated: s.Updated}
	if p := s.Pause; p != nil {
		out.Pause = &AccountPause{Since: p.Since, Until: p.Until, Class: p.Class, Reason: p.Reason, WhatToDo: p.WhatToDo}
	}
	if u := s.Usage; u != nil {
		out.Usage = &AccountUsage{Percent: u.Percent, Rate: u.Rate, At: u.At}
	}
	if t := s.Token; t != nil {
		out.Token = &AccountToken{Valid: t.Valid, Checked: t.Checked, Problem: t.Problem}
		if !t.Expires.IsZero() {
			out.Token.Expires = &t.Expires
		}
	}
	return out
}

func (a *API) resumeAccount(ctx context.Context, in *resumeInput) (*struct{}, error) {
	who := mustCaller(ctx)
	if !who.everything() && !slices.ContainsFunc(who.user.Accounts, func(id string) bool {
		return strings.HasSuffix(in.AccountKey, "."+id) && !strings.HasPrefix(in.AccountKey, "app.")
	}) {
		return nil, a.failed(ctx, "account", store.ErrNotFound)
	}
	by := who.actor
	err := a.d.Ops.Resume(ctx, in.AccountKey, by.Name)
	if errors.Is(err, ops.ErrNotPaused) {
		return nil, huma.Error409Conflict(err.Error())
	}
	if err == nil {
		err = a.d.Store.Audit(ctx, by, store.Change{Action: "account.resumed", Target: "account:" + in.AccountKey})
	}
	if err != nil {
		return nil, a.failed(ctx, "account", err)
	}
	return nil, nil //nolint:nilnil // 204
}
