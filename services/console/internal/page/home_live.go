package page

import (
	"context"
	"net/http"
	"slices"

	"github.com/parley-dm/parley/services/console/internal/web"
)

// live tells the browser what changes in the accounts that its user sees, until the session is ended.
func (p *Pages) live(w http.ResponseWriter, r *http.Request) error {
	scope := web.ScopeOf(r)
	sees := func(account string) bool { return len(scope) == 0 || slices.Contains(scope, account) }
	session, _ := web.SessionOf(r.Context())
	alive := func(ctx context.Context) bool {
		ok, err := p.Store.SessionAlive(ctx, session.ID)
		return ok || err != nil // a database that is away ends no session
	}
	return p.Hub.Serve(w, r, sees, alive)
}
