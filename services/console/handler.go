package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/api"
	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/live"
	"github.com/parley-dm/parley/services/console/internal/oidc"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/page"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// maxBody bounds a form or an API request.
const maxBody = 1 << 20

// parts are what the handler is made of.
type parts struct {
	tel      *telemetry.Telemetry
	store    *store.Store
	hub      *live.Hub
	api      api.Deps
	desk     *desk.Desk
	webhooks *hooks.Book
	ops      *ops.Ops
	oidc     *oidc.Provider      // nil without one
	media    *mediastore.Library // nil where media are not kept
}

// newHandler puts pages behind their middleware.
func newHandler(cfg Config, d parts) (http.Handler, error) {
	public, err := cfg.Public()
	if err != nil {
		return nil, err
	}
	proxies, err := cfg.proxies()
	if err != nil {
		return nil, err
	}
	renderer, err := view.New(time.Now)
	if err != nil {
		return nil, err
	}
	deps := page.Deps{Store: d.store, View: renderer, Hub: d.hub, Desk: d.desk, Webhooks: d.webhooks, System: d.ops, AccountStates: d.ops, Tokens: d.ops, DeadLetters: d.ops, Resender: d.ops, Log: d.tel.Log, Now: time.Now}
	if d.media != nil {
		deps.Media = d.media
	}
	pages := page.New(deps, page.Options{
		Sessions: web.SessionOptions{Public: public, Idle: cfg.SessionIdle, Max: cfg.SessionMax, Now: time.Now}, OIDC: d.oidc,
		MediaHosts: cfg.MediaHosts, SimulatorURL: strings.TrimSuffix(cfg.SimulatorURL, "/"),
	})
	sameOrigin, err := web.SameOrigin(public, pages.Fail)
	if err != nil {
		return nil, err
	}

	r := chi.NewRouter()
	r.Use(web.Proxies(proxies), web.Observe(d.tel.Log, web.NewRequestID, pages.Fail), web.Headers(public, cfg.MediaHosts),
		middleware.RequestSize(maxBody), middleware.Compress(5, "text/html", "text/css", "text/javascript", "image/svg+xml", "application/json"))
	r.Get("/health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
	})
	r.Handle(view.AssetPrefix+"*", view.Assets())
	api.Mount(r, d.api)
	r.Group(func(r chi.Router) {
		r.Use(sameOrigin, pages.Sessions().Find)
		pages.Routes(r)
	})
	return r, nil
}
