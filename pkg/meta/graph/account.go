package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
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
