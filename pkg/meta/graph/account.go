package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/parley-dm/parley/pkg/config"
)

// Profile is what the Graph API tells of the account that a token belongs to.
type Profile struct {
	ID, Username string
	// ServerTime is the answer's Date, to the second; zero when it had none.
	ServerTime time.Time
}

// Account looks the account up by its id, which needs a token that may see it.
func (c *Client) Account(ctx context.Context, cred Credentials, account string) (Profile, error) {
	var out struct {
		ID       id     `json:"id"`
		Username string `json:"username"`
	}
	header, err := c.look(ctx, cred, url.PathEscape(account), url.Values{"fields": {"id,username"}}, &out)
	if err != nil {
		return Profile{ServerTime: date(header)}, fmt.Errorf("look up account %s: %w", account, err)
	}
	return Profile{ID: string(out.ID), Username: out.Username, ServerTime: date(header)}, nil
}

// Me looks up whom an Instagram user token belongs to: its ID is user_id, which is what webhooks carry, and not id, which is
// scoped to the app.
func (c *Client) Me(ctx context.Context, cred Credentials) (Profile, error) {
	var out struct {
		UserID   id     `json:"user_id"`
		Username string `json:"username"`
	}
	header, err := c.look(ctx, cred, "me", url.Values{"fields": {"user_id,username"}}, &out)
	if err != nil {
		return Profile{ServerTime: date(header)}, fmt.Errorf("look up the token's account: %w", err)
	}
	return Profile{ID: string(out.UserID), Username: out.Username, ServerTime: date(header)}, nil
}

func date(h http.Header) time.Time {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at
}

// Token is what Meta tells of a token.
type Token struct {
	Valid bool
	// Expires is zero for one that does not.
	Expires time.Time
	Scopes  []string
	// Problem is Meta's own word on one that is not valid.
	Problem string
}

// DebugToken asks about the token of cred, in the name of the app: with its id, and its secret, which cred has.
func (c *Client) DebugToken(ctx context.Context, cred Credentials, appID string) (Token, error) {
	var out struct {
		Data struct {
			Valid   bool     `json:"is_valid"`
			Expires int64    `json:"expires_at"`
			Scopes  []string `json:"scopes"`
			Error   struct {
				Message string `json:"message"`
			} `json:"error"`
		} `json:"data"`
	}
	// An app's own token is its id and secret. The one that is asked about has to be in the URL: Meta knows no other way. The
	// client's errors name no URL.
	app := Credentials{BaseURL: cred.BaseURL, Token: config.Secret(appID + "|" + cred.AppSecret.Reveal())}
	if _, err := c.look(ctx, app, "debug_token", url.Values{"input_token": {cred.Token.Reveal()}}, &out); err != nil {
		return Token{}, fmt.Errorf("ask about the token: %w", err)
	}
	t := Token{Valid: out.Data.Valid, Scopes: out.Data.Scopes, Problem: out.Data.Error.Message}
	if out.Data.Expires > 0 {
		t.Expires = time.Unix(out.Data.Expires, 0).UTC()
	}
	return t, nil
}

// Subscription is an app that gets an account's webhooks.
type Subscription struct {
	AppID  string
	Fields []string
}

// Subscriptions lists the apps that get the webhooks of the token's account.
func (c *Client) Subscriptions(ctx context.Context, cred Credentials) ([]Subscription, error) {
	var out struct {
		Data []struct {
			ID     id       `json:"id"`
			Fields []string `json:"subscribed_fields"`
		} `json:"data"`
	}
	if _, err := c.look(ctx, cred, "me/subscribed_apps", nil, &out); err != nil {
		return nil, fmt.Errorf("list the subscribed apps: %w", err)
	}
	subscriptions := make([]Subscription, 0, len(out.Data))
	for _, d := range out.Data {
		subscriptions = append(subscriptions, Subscription{AppID: string(d.ID), Fields: d.Fields})
	}
	return subscriptions, nil
}

// Refused says whether an error is an answer of the Graph API, so that it was reached.
func Refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status != 0
}
