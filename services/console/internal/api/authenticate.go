package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// authenticate is middleware that finds whose token a request carries. Who has none, or a wrong one, is nobody; the document
// of the API is for everybody.
func (a *API) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(secret, store.TokenPrefix) || len(secret) > 100 {
			next.ServeHTTP(w, r)
			return
		}
		token, user, err := a.d.Store.Authenticate(r.Context(), web.HashToken(secret))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			a.d.Log.ErrorContext(r.Context(), "api.failed", "what", "authenticate", telemetry.KeyRequest, web.RequestID(r.Context()), telemetry.KeyError, err)
			problem(w, http.StatusServiceUnavailable, "the database is away: try again in a moment")
			return
		default:
			r = r.WithContext(context.WithValue(r.Context(), callerKey, &caller{token: token, user: user, actor: store.Actor{
				UserID: user.ID, Name: user.Email, Via: "api", RemoteAddr: web.RemoteAddr(r),
			}}))
		}
		next.ServeHTTP(w, r)
	})
}

// problem answers outside of an operation.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
}
