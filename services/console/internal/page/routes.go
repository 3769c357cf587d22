package page

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// section is one part of the console: its entry in the navigation (none without a Path), from which role on it is shown,
// and its routes.
type section struct {
	nav    view.NavItem
	least  store.Role
	routes func(r chi.Router)
}

// sections are in the order of the navigation. Each is declared in its own AREA_routes.go.
func (p *Pages) sections() []section {
	return []section{
		p.homeSection(),
		p.inboxSection(),
		p.rulesSection(),
		p.analyticsSection(),
		p.failuresSection(),
		p.accountsSection(),
		p.systemSection(),
		p.webhooksSection(),
		p.peopleSection(),
		p.sessionSection(),
	}
}

// nav is the navigation for a role.
func (p *Pages) nav(role store.Role) []view.NavItem {
	var items []view.NavItem
	for _, s := range p.sections() {
		if s.nav.Path != "" && role.May(s.least) {
			items = append(items, s.nav)
		}
	}
	return items
}

// area is the first part of a path: the navigation's entry that a page belongs to.
func area(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first == "audit" {
		first = "people"
	}
	return "/" + first
}

// Routes declares the routes of every page.
func (p *Pages) Routes(r chi.Router) {
	for _, s := range p.sections() {
		s.routes(r)
	}
	r.NotFound(p.action(func(http.ResponseWriter, *http.Request) error { return web.ErrNotFound }))
	r.MethodNotAllowed(p.action(func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: http.StatusMethodNotAllowed, Title: "Not like that", Text: "This address does not take such a request."}
	}))
}

// get and post declare an action for a role and more.
func (p *Pages) get(r chi.Router, path string, least store.Role, h web.Handler) {
	r.With(p.sessions.Need(least)).Get(path, p.action(h))
}

func (p *Pages) post(r chi.Router, path string, least store.Role, h web.Handler) {
	r.With(p.sessions.Need(least)).Post(path, p.action(h))
}

// notices are what a page says once after a change. The cookie that carries one names it only: nobody can make the console
// say something else.
var notices = map[string]string{
	"password_set":   "Your password is set.",
	"taken_over":     "You have it now. The bot stays silent.",
	"handed_back":    "The bot answers here again.",
	"closed":         "Closed until the customer writes again.",
	"deleted":        "Deleted.",
	"simulated":      "A simulated customer is writing.",
	"saved":          "Saved.",
	"session_ended":  "Signed out there.",
	"signed_out":     "You are signed out.",
	"not_sent_again": "Nothing was left to send again: somebody did it already, or the window is over.",
	"sent_again":     "It is on its way again.",
	"was_sent":       "Noted: it was sent.",
	"not_paused":     "It was not paused any more.",
	"resumed":        "Resumed: the next message tries it.",
	"token_set":      "The new token is set. The next message tells whether Meta takes it.",
	"token_revoked":  "The token works no more.",
	"webhook_on":     "It is told of what happens again.",
	"webhook_off":    "It is told nothing any more.",
}
