package graph

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/token"
)

// subscribedApps is /{account}/subscribed_apps.
func (a *API) subscribedApps(w http.ResponseWriter, r *http.Request, node string) *Error {
	account, err := a.authorized(w, r, node)
	if err != nil {
		return err
	}
	if over, err := a.disturb(w, account.ID, "", fault.SubscribedApps); over {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		data := []object{}
		if fields := a.deps.Subscriptions.Fields(account.ID); len(fields) > 0 {
			data = append(data, object{"id": a.opts.AppID, "name": "Parley", "subscribed_fields": fields})
		}
		writeJSON(w, http.StatusOK, object{"data": data})
	case http.MethodPost:
		fields := r.FormValue("subscribed_fields")
		if fields == "" {
			return param("Param subscribed_fields must be a non-empty array.")
		}
		if err := a.deps.Subscriptions.Subscribe(account.ID, strings.Split(fields, ",")); err != nil {
			return param("Param subscribed_fields: %s.", err)
		}
		writeJSON(w, http.StatusOK, object{"success": true})
	case http.MethodDelete:
		a.deps.Subscriptions.Unsubscribe(account.ID)
		writeJSON(w, http.StatusOK, object{"success": true})
	default:
		return noObject(node)
	}
	return nil
}

// debugToken is GET /debug_token. It may be asked with any token of the app's, dead ones too, or with the app's own.
func (a *API) debugToken(w http.ResponseWriter, r *http.Request) *Error {
	asker := fromRequest(r).token
	if asker == "" {
		return &Error{Code: codeMissingToken, Message: "An access token is required to request this resource."}
	}
	info, known := a.deps.Tokens.Look(asker)
	if id, secret, ok := strings.Cut(asker, "|"); !known && (!ok || id != a.opts.AppID || !slices.Contains(a.opts.Secrets, secret)) {
		return unknownToken()
	}
	if over, err := a.disturb(w, info.Account, "", fault.DebugToken); over {
		return err
	}
	input := r.URL.Query().Get("input_token")
	if input == "" {
		return param("The parameter input_token is required")
	}
	data := object{"app_id": a.opts.AppID, "application": "Parley", "type": "PAGE", "is_valid": false, "scopes": []string{}}
	info, known = a.deps.Tokens.Look(input)
	if !known {
		data["error"] = object{"code": codeToken, "message": unknownToken().Message}
		writeJSON(w, http.StatusOK, object{"data": data})
		return nil
	}
	data["expires_at"], data["issued_at"], data["profile_id"] = 0, info.Issued.Unix(), info.Account
	if !info.Expires.IsZero() {
		data["type"], data["expires_at"] = "USER", info.Expires.Unix()
	}
	if e := a.dead(info); e != nil {
		data["error"] = object{"code": e.Code, "message": e.Message, "subcode": e.Subcode}
	} else {
		data["is_valid"] = true
		data["scopes"] = []string{"instagram_basic", "instagram_manage_messages", "pages_manage_metadata"}
	}
	writeJSON(w, http.StatusOK, object{"data": data})
	return nil
}

// refreshToken is GET /refresh_access_token. A token that never expires stays the same, one that does is replaced.
func (a *API) refreshToken(w http.ResponseWriter, r *http.Request) *Error {
	c := fromRequest(r)
	account, err := a.authorize(c, "")
	if err != nil {
		return err
	}
	if over, err := a.disturb(w, account.ID, "", fault.RefreshToken); over {
		return err
	}
	if r.URL.Query().Get("grant_type") != "ig_refresh_token" {
		return param("Param grant_type must be ig_refresh_token.")
	}
	if err := a.admit(w, account); err != nil {
		return err
	}
	fresh, left, problem := a.deps.Tokens.Refresh(c.token)
	switch {
	case errors.Is(problem, token.ErrTooYoung):
		return param("The access token cannot be refreshed: it must be at least 24 hours old.")
	case problem != nil:
		return unknownToken()
	}
	writeJSON(w, http.StatusOK, object{"access_token": fresh, "token_type": "bearer", "expires_in": int(left.Seconds())})
	return nil
}
