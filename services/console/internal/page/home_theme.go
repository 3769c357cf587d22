package page

import (
	"net/http"
	"net/url"

	"github.com/parley-dm/parley/services/console/internal/web"
)

// theme keeps which colours the browser is to have, and goes back to where the switch was.
func (p *Pages) theme(w http.ResponseWriter, r *http.Request) error {
	value := r.PostFormValue("theme")
	switch value {
	case "light", "dark", "auto":
	default:
		return web.BadRequest("The colours are light, dark or auto.")
	}
	http.SetCookie(w, p.sessions.Cookie(themeCookie, value, themeAge))
	back := "/"
	if u, err := url.Parse(r.Referer()); err == nil {
		back = u.RequestURI()
	}
	return p.done(w, r, back, "")
}
