package control

import (
	"fmt"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/answer"
	"github.com/parley-dm/parley/services/simulator/internal/play"
	"github.com/parley-dm/parley/services/simulator/internal/shape"
	"github.com/parley-dm/parley/services/simulator/internal/subscription"
	"github.com/parley-dm/parley/services/simulator/internal/token"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

func (a *API) kinds(w http.ResponseWriter, _ *http.Request) {
	answer.JSON(w, http.StatusOK, map[string]any{"kinds": shape.All()})
}

type timeResult struct {
	Now   time.Time `json:"now"`
	Ahead string    `json:"ahead"`
}

func (a *API) time(w http.ResponseWriter, _ *http.Request) {
	answer.JSON(w, http.StatusOK, timeResult{Now: a.deps.Clock.Now().UTC(), Ahead: a.deps.Clock.Ahead().String()})
}

type timeRequest struct {
	Advance string `json:"advance"`
	Ahead   string `json:"ahead"`
}

// farthest bounds how far the clock may be moved: further than any window or token lasts.
const farthest = 10 * 365 * 24 * time.Hour

func (a *API) moveTime(w http.ResponseWriter, r *http.Request) {
	var req timeRequest
	if err := answer.Read(w, r, &req); err != nil {
		answer.Error(w, err)
		return
	}
	name, value := "advance", req.Advance
	if req.Ahead != "" {
		name, value = "ahead", req.Ahead
	}
	d, err := time.ParseDuration(value)
	if err != nil || (req.Advance == "") == (req.Ahead == "") || d < 0 || d > farthest || name == "advance" && a.deps.Clock.Ahead()+d > farthest {
		answer.Error(w, fmt.Errorf("%w: %s: got %q, expected one of advance and ahead, as a duration such as 25h, and at most %s in all", play.ErrAction, name, value, farthest))
		return
	}
	if name == "advance" {
		a.deps.Clock.Advance(d)
	} else {
		a.deps.Clock.Set(d)
	}
	a.time(w, r)
}

// accountState is an account with all that may be wrong with it.
type accountState struct {
	world.Account
	Token        token.Info         `json:"token"`
	Subscription subscription.State `json:"subscription"`
}

func (a *API) accounts(w http.ResponseWriter, _ *http.Request) {
	tokens, subscriptions := a.deps.Tokens.States(), map[string]subscription.State{}
	for _, s := range a.deps.Subscriptions.States() {
		subscriptions[s.Account] = s
	}
	out := []accountState{}
	for _, account := range a.deps.World.Accounts() {
		out = append(out, accountState{Account: account, Token: tokens[account.ID], Subscription: subscriptions[account.ID]})
	}
	answer.JSON(w, http.StatusOK, map[string]any{"accounts": out})
}

type tokenRequest struct {
	Kill      *int   `json:"kill"`
	Token     string `json:"token"`
	ExpiresIn string `json:"expires_in"`
}

func (a *API) changeToken(w http.ResponseWriter, r *http.Request) {
	var req tokenRequest
	if err := answer.Read(w, r, &req); err != nil {
		answer.Error(w, err)
		return
	}
	account, err := a.deps.World.Account(r.PathValue("account"))
	if err != nil {
		answer.Error(w, err)
		return
	}
	if err := a.applyToken(account.ID, req); err != nil {
		answer.Error(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, a.deps.Tokens.States()[account.ID])
}

func (a *API) applyToken(account string, req tokenRequest) error {
	switch {
	case (req.Kill == nil) == (req.Token == ""):
		return fmt.Errorf("%w: expected one of kill and token", play.ErrAction)
	case req.Kill != nil && *req.Kill < 0:
		return fmt.Errorf("%w: kill: got %d, expected a subcode, or 0 to bring the token to life again", play.ErrAction, *req.Kill)
	case req.Kill != nil:
		return a.deps.Tokens.Kill(account, *req.Kill)
	}
	var ttl time.Duration
	if req.ExpiresIn != "" {
		var err error
		if ttl, err = time.ParseDuration(req.ExpiresIn); err != nil || ttl <= 0 {
			return fmt.Errorf("%w: expires_in: got %q, expected a duration such as 1440h", play.ErrAction, req.ExpiresIn)
		}
	}
	_, err := a.deps.Tokens.Issue(account, req.Token, ttl)
	return err
}

type subscriptionRequest struct {
	Subscribed *bool    `json:"subscribed"`
	Fields     []string `json:"fields"`
}

func (a *API) changeSubscription(w http.ResponseWriter, r *http.Request) {
	var req subscriptionRequest
	if err := answer.Read(w, r, &req); err != nil {
		answer.Error(w, err)
		return
	}
	account, err := a.deps.World.Account(r.PathValue("account"))
	if err != nil {
		answer.Error(w, err)
		return
	}
	if req.Subscribed != nil && !*req.Subscribed {
		a.deps.Subscriptions.Unsubscribe(account.ID)
	} else if err := a.deps.Subscriptions.Subscribe(account.ID, req.Fields); err != nil {
		answer.Error(w, fmt.Errorf("%w: %w", play.ErrAction, err))
		return
	}
	a.accounts(w, r)
}
