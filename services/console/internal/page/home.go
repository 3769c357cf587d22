package page

import (
	"net/http"

	"github.com/parley-dm/parley/services/console/internal/web"
)

// home shows how much there is.
func (p *Pages) home(w http.ResponseWriter, r *http.Request) error {
	totals, err := p.Store.Totals(r.Context(), web.ScopeOf(r))
	if err != nil {
		return err
	}
	return p.show(w, r, "home/home", "Home", totals)
}
