package graph

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/parley-dm/parley/pkg/config"
)

// TokenInfo is what debug_token says of a token.
type TokenInfo struct {
	Valid bool
	// Expires is when it dies; zero for never.
	Expires time.Time
	Scopes  []string
	// Problem is why it is not valid, in Meta's words.
	Problem string
}

// AsApp are an app's own credentials, made of its id and the secret that these have. With them it may ask about any token of
// its users.
func (c Credentials) AsApp(appID string) Credentials {
	return Credentials{BaseURL: c.BaseURL, Token: config.Secret(appID + "|" + c.AppSecret.Reveal())}
}

// DebugToken asks what a token is worth. cred is the app's (its token is "id|secret") or the token's own.
func (c *Client) DebugToken(ctx context.Context, cred Credentials, token config.Secret) (TokenInfo, error) {
	var out struct {
		Data struct {
			Valid       bool       `json:"is_valid"`
			Expires     int64      `json:"expires_at"`
			DataExpires int64      `json:"data_access_expires_at"`
			Scopes      []string   `json:"scopes"`
			Error       *errorBody `json:"error"`
		} `json:"data"`
	}
	if err := c.get(ctx, cred, "debug_token", url.Values{"input_token": {token.Reveal()}}, &out); err != nil {
		return TokenInfo{}, fmt.Errorf("ask about a token: %w", err)
	}
	info := TokenInfo{Valid: out.Data.Valid, Scopes: out.Data.Scopes}
	// Whichever comes first: after the second the token lives and opens nothing.
	for _, seconds := range []int64{out.Data.Expires, out.Data.DataExpires} {
		if at := time.Unix(seconds, 0).UTC(); seconds > 0 && (info.Expires.IsZero() || at.Before(info.Expires)) {
			info.Expires = at
		}
	}
	if out.Data.Error != nil {
		info.Problem = shorten(out.Data.Error.Message)
	}
	return info, nil
}

// RefreshToken makes a long-lived Instagram user token live for another sixty days; it has to be a day old. The new token
// may be the same one. The old one goes in the URL, where Meta's documentation wants it.
func (c *Client) RefreshToken(ctx context.Context, cred Credentials) (token config.Secret, lives time.Duration, err error) {
	var out struct {
		Token   config.Secret `json:"access_token"`
		Seconds int64         `json:"expires_in"`
	}
	query := url.Values{"grant_type": {"ig_refresh_token"}, "access_token": {cred.Token.Reveal()}}
	if err := c.get(ctx, cred, "refresh_access_token", query, &out); err != nil {
		return "", 0, fmt.Errorf("refresh a token: %w", err)
	}
	if out.Token == "" || out.Seconds <= 0 {
		return "", 0, fmt.Errorf("refresh a token: the answer holds no token, or not how long it lives")
	}
	return out.Token, time.Duration(out.Seconds) * time.Second, nil
}
