package page

import (
	"net/http"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// tokenAges are how long a token may live, in the form.
var tokenAges = map[string]time.Duration{"30": 30 * 24 * time.Hour, "90": 90 * 24 * time.Hour, "365": 365 * 24 * time.Hour}

// meAddToken makes a token for the API and shows it, this once.
func (p *Pages) meAddToken(w http.ResponseWriter, r *http.Request) error {
	problem := func(text string) error {
		return p.showMe(w, r, http.StatusUnprocessableEntity, meData{TokenProblem: text})
	}
	name := strings.TrimSpace(r.PostFormValue("name"))
	if name == "" || len(name) > 100 {
		return problem("A token needs a name of at most 100 characters, so that you know later what it is for.")
	}
	age, ok := tokenAges[r.PostFormValue("days")]
	if !ok {
		return problem("A token lives 30, 90 or 365 days.")
	}
	scopes, err := store.ParseScopes(r.PostForm["scope"], web.UserOf(r).Role)
	if err != nil {
		return problem("Choose what the token may do: " + err.Error() + ".")
	}
	secret, _ := web.NewToken()
	secret = store.TokenPrefix + secret
	hash := web.HashToken(secret)
	err = p.Store.AddToken(r.Context(), web.ActorOf(r), hash, store.Token{
		UserID: web.UserOf(r).ID, Name: name, Hint: secret[:len(store.TokenPrefix)+4], Scopes: scopes, ExpiresAt: p.Now().Add(age),
	})
	if err != nil {
		return err
	}
	return p.showMe(w, r, http.StatusOK, meData{Token: secret})
}

// meRevokeToken ends a token.
func (p *Pages) meRevokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := p.Store.RevokeToken(r.Context(), web.ActorOf(r), web.UserOf(r).ID, r.PostFormValue("id")); err != nil {
		return err
	}
	return p.done(w, r, "/me", "token_revoked")
}
