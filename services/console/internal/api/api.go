// Package api is the console's JSON API: what pages do, for scripts. The OpenAPI document at /api/openapi.json is made from
// the types and tags of this package by huma, which also checks what comes against them; errors are problem+json (RFC 9457).
//
// Who asks shows a token, with scopes; a browser's session is not asked, so that no page of another site can use it. A write
// with an Idempotency-Key is done once, and answered the same again. A file here is one area; each operation is registered
// in its area's register function, with the scope that it needs.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// Deps is what the API works with.
type Deps struct {
	Store    *store.Store
	Desk     *desk.Desk
	Ops      *ops.Ops
	Log      *slog.Logger
	Now      func() time.Time
	Rules    Rules
	Webhooks *hooks.Book
}

// Rules stores rules.
type Rules interface {
	List(ctx context.Context) ([]repository.Rule, error)
	Get(ctx context.Context, id string) (repository.Rule, error)
	Create(ctx context.Context, rule repository.Rule, by string) (repository.Rule, error)
	Update(ctx context.Context, rule repository.Rule, by string) (repository.Rule, error)
	Delete(ctx context.Context, id string, version int, by string) error
}

// change is a change of an audit entry.
func change(action, target string) store.Change { return store.Change{Action: action, Target: target} }

// API answers.
type API struct{ d Deps }

// timeout bounds what one request may take.
const timeout = 20 * time.Second

// security is the name of the way to show who one is.
const security = "token"

// Mount registers every operation at the router.
func Mount(r chi.Router, d Deps) {
	a := &API{d}
	r.Group(func(r chi.Router) {
		r.Use(bounded, a.authenticate, a.idempotent)
		config := huma.DefaultConfig("Parley", "1")
		config.Info.Description = "What the console does, for scripts. Lists are read page by page: give next of one answer as cursor of the next request. " +
			"A write with an Idempotency-Key is done once, whatever comes of the connection, and answered the same again for two days."
		config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "/api/openapi", "", "", nil
		config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{security: {
			Type: "http", Scheme: "bearer", Description: "A token that was made on the page Your account, as Authorization: Bearer parley_…",
		}}
		h := humachi.New(r, config)
		h.UseMiddleware(a.permit(h))
		a.conversations(h)
		a.rules(h)
		a.failures(h)
		a.accounts(h)
		a.stats(h)
		a.webhooks(h)
		r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
			problem(w, http.StatusNotFound, "there is no such operation; /api/openapi.json lists all")
		})
	})
}

// needs says which scope an operation needs.
func needs(scope string) []map[string][]string { return []map[string][]string{{security: {scope}}} }

// permit lets through what the token's scopes and its user's role allow.
func (a *API) permit(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		who, ok := callerOf(ctx.Context())
		if !ok {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			_ = huma.WriteErr(h, ctx, http.StatusUnauthorized, "expected a token, as Authorization: Bearer parley_…, that was neither revoked nor has expired")
			return
		}
		for _, one := range ctx.Operation().Security {
			for _, scope := range one[security] {
				if !who.token.May(&who.user, scope) {
					_ = huma.WriteErr(h, ctx, http.StatusForbidden, "the token, or the role of whom it belongs to, does not have the scope "+scope)
					return
				}
			}
		}
		next(ctx)
	}
}

// caller is whose token it is.
type caller struct {
	token store.Token
	user  store.User
	actor store.Actor
}

// scope is which accounts the caller sees.
func (c *caller) scope() store.Scope {
	if len(c.user.Accounts) > 0 {
		return c.user.Accounts
	}
	return store.All
}

// everything says whether the caller sees all accounts.
func (c *caller) everything() bool { return len(c.user.Accounts) == 0 }

// person is the caller, for the desk.
func (c *caller) person() desk.Person { return desk.Person{Actor: c.actor, Called: c.user.Called()} }

type contextKey int

const (
	callerKey contextKey = iota
	idempotencyKey
)

func callerOf(ctx context.Context) (*caller, bool) {
	c, ok := ctx.Value(callerKey).(*caller)
	return c, ok
}

// mustCaller is for operations behind [API.permit].
func mustCaller(ctx context.Context) *caller {
	c, _ := callerOf(ctx)
	return c
}

// failed turns an error into the problem that is told; what went wrong inside is in the log only.
func (a *API) failed(ctx context.Context, what string, err error) error {
	var refused *desk.RefusedError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound(what + ": there is none, or it is not yours to see")
	case errors.As(err, &refused) && refused.Window:
		return huma.Error409Conflict(refused.Text)
	case errors.As(err, &refused):
		return huma.Error422UnprocessableEntity(refused.Text)
	case errors.Is(err, ops.ErrAway):
		return huma.Error503ServiceUnavailable(ops.ErrAway.Error() + ": try again in a moment")
	default:
		a.d.Log.ErrorContext(ctx, "api.failed", "what", what, telemetry.KeyRequest, web.RequestID(ctx), telemetry.KeyError, err)
		return huma.Error500InternalServerError("something went wrong; it is in the log under the request's id, " + web.RequestID(ctx))
	}
}

// bounded gives a request an end.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
