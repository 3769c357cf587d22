package page

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/oidc"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const (
	flowCookie = "parley_sign_in"
	flowAge    = 10 * time.Minute
)

var errOIDC = &web.Error{
	Status: http.StatusForbidden, Title: "You could not be signed in",
	Text: "Your identity provider or its answer does not allow it, or you were not added here. Ask an owner to add your e-mail address. Why exactly is in the log.",
}

// oidcBegin sends the browser to the identity provider.
func (p *Pages) oidcBegin(w http.ResponseWriter, r *http.Request) error {
	to, flow, err := p.oidc.Begin(r.Context(), web.Next(r.URL.Query().Get("next")))
	if err != nil {
		return err
	}
	raw, err := json.Marshal(flow)
	if err != nil {
		return err
	}
	http.SetCookie(w, p.sessions.Cookie(flowCookie, base64.RawURLEncoding.EncodeToString(raw), flowAge))
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // to the provider that the settings name
	return nil
}

// oidcEnd signs in whom the identity provider has sent back.
func (p *Pages) oidcEnd(w http.ResponseWriter, r *http.Request) error {
	var flow oidc.Flow
	if c, err := r.Cookie(flowCookie); err == nil {
		if raw, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil {
			_ = json.Unmarshal(raw, &flow) // an empty one is refused
		}
	}
	http.SetCookie(w, p.sessions.Cookie(flowCookie, "", 0)) // once
	who, err := p.oidc.End(r.Context(), flow, r.URL.Query().Get("state"), r.URL.Query().Get("code"))
	var user store.User
	if err == nil {
		user, err = p.userOf(r, who)
	}
	if errors.Is(err, oidc.ErrRefused) {
		p.Log.WarnContext(r.Context(), "sign_in.refused", "remote_addr", web.RemoteAddr(r), "method", "oidc", telemetry.KeyError, err)
		return errOIDC
	}
	if err != nil {
		return err
	}
	return p.enter(w, r, user, "oidc", web.Next(flow.Next))
}

// userOf finds the user of an identity: the one that is bound to it, else the one with its address, who is bound to it from
// now on, else a new one where its domain is welcome or its provider gives it a role. The provider's role, where it tells
// one, is what counts.
func (p *Pages) userOf(r *http.Request, who oidc.Identity) (store.User, error) {
	ctx := r.Context()
	by := store.Actor{Name: who.Email, Via: "system", RemoteAddr: web.RemoteAddr(r)}
	user, err := p.Store.UserByOIDC(ctx, who.Subject)
	if errors.Is(err, store.ErrNotFound) {
		if user, err = p.Store.UserByEmail(ctx, who.Email); err == nil {
			if err := p.Store.SetOIDC(ctx, user.ID, who.Subject); err != nil {
				return user, errors.Join(oidc.ErrRefused, err)
			}
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound) && (who.Welcome || who.Role != ""):
		role := store.Role(who.Role)
		if role == "" {
			role = store.Viewer
		}
		user, err = p.Store.AddUser(ctx, store.User{Email: who.Email, Name: who.Name, Role: role, OIDCSubject: who.Subject})
		if err != nil {
			return user, err
		}
		return user, p.Store.Audit(ctx, by, store.Change{Action: "user.added", Target: "user:" + user.ID, Detail: map[string]any{"email": user.Email, "role": role}})
	case errors.Is(err, store.ErrNotFound):
		return user, errors.Join(oidc.ErrRefused, err)
	case err != nil:
		return user, err
	case user.DisabledAt != nil:
		return user, oidc.ErrRefused
	}
	if role := store.Role(who.Role); role != "" && role != user.Role {
		err := p.Store.ChangeUser(ctx, by, user.ID, store.UserChange{Name: user.Name, Role: role, Accounts: user.Accounts})
		if errors.Is(err, store.ErrLastOwner) {
			return user, nil // somebody must be able to mend the provider's claim
		}
		if err != nil {
			return user, err
		}
		user.Role = role
	}
	return user, nil
}
