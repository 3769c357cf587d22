// Package page is the console's pages: a file for each action, named AREA_ACTION.go, with its template at
// view/templates/page/AREA/ACTION.html and its queries in package store.
//
// An action reads its form or its query, calls the store or the bus, writes an audit entry when it has changed something,
// and shows a page or redirects (303, so that reloading changes nothing again). Who may do it is said where its route is
// declared, in AREA_routes.go.
package page

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/live"
	"github.com/parley-dm/parley/services/console/internal/oidc"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// Deps is what pages use.
type Deps struct {
	Store         *store.Store
	View          *view.Renderer
	Hub           *live.Hub
	Desk          *desk.Desk
	Webhooks      *hooks.Book
	System        System
	AccountStates AccountStates
	Tokens        Tokens
	DeadLetters   DeadLetters
	Resender      Resender
	Media         Media // nil where attachments are not kept
	Log           *slog.Logger
	Now           func() time.Time
}

// Options says how pages are.
type Options struct {
	Sessions web.SessionOptions
	// MediaHosts are where a browser may load customers' pictures from.
	MediaHosts []string
	// SimulatorURL is where a simulator plays customers; empty without one.
	SimulatorURL string
	// OIDC is an identity provider to sign in with; nil for none.
	OIDC *oidc.Provider
}

// Pages serves the console's pages.
type Pages struct {
	Deps
	o        Options
	sessions *web.Sessions
	attempts *web.Attempts
	oidc     *oidc.Provider
}

// New makes the pages.
func New(d Deps, o Options) *Pages {
	p := &Pages{Deps: d, o: o, attempts: web.NewAttempts(d.Now), oidc: o.OIDC}
	p.sessions = web.NewSessions(d.Store, o.Sessions, p.Fail)
	return p
}

// Sessions finds who is signed in.
func (p *Pages) Sessions() *web.Sessions { return p.sessions }

const (
	themeCookie  = "parley_theme"
	noticeCookie = "parley_notice"
	themeAge     = 365 * 24 * time.Hour
	noticeAge    = time.Minute
)

// frame is what is around a page for who asks.
func (p *Pages) frame(w http.ResponseWriter, r *http.Request, title string, data any) view.Frame {
	f := view.Frame{Title: title, Theme: "auto", Nonce: web.NonceOf(r.Context()), Data: data}
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		f.Theme = c.Value
	}
	if s, ok := web.SessionOf(r.Context()); ok {
		f.UserName, f.UserRole, f.Live = s.User.Called(), string(s.User.Role), true
		f.Nav, f.Area = p.nav(s.User.Role), area(r.URL.Path)
	}
	if c, err := r.Cookie(noticeCookie); err == nil {
		if n, known := notices[c.Value]; known {
			f.Notice = n
		}
		http.SetCookie(w, p.sessions.Cookie(noticeCookie, "", 0))
	}
	return f
}

// show writes a page.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, name, title string, data any) error {
	return p.showWith(w, r, http.StatusOK, name, title, data)
}

// showWith is show with another status than 200, such as 422 for a form with a problem.
func (p *Pages) showWith(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) error {
	out := &late{w: w, status: status}
	return p.View.Page(out, name, p.frame(w, r, title, data))
}

// fragment writes one block of a page, for a script that asked for it.
func (p *Pages) fragment(w http.ResponseWriter, page, block string, data any) error {
	return p.View.Fragment(&late{w: w, status: http.StatusOK}, page, block, data)
}

// late writes the header with the first byte: a template that fails writes none.
type late struct {
	w      http.ResponseWriter
	status int
}

func (l *late) Write(b []byte) (int, error) {
	l.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	l.w.WriteHeader(l.status)
	return l.w.Write(b)
}

// done redirects after a change, with a notice from notices that the next page says once. to is a path of ours.
func (p *Pages) done(w http.ResponseWriter, r *http.Request, to, notice string) error {
	if notice != "" {
		http.SetCookie(w, p.sessions.Cookie(noticeCookie, notice, noticeAge))
	}
	http.Redirect(w, r, web.Next(to), http.StatusSeeOther) //nolint:gosec // web.Next lets through paths of ours only
	return nil
}

// action makes a handler of an action.
func (p *Pages) action(h web.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			p.Fail(w, r, err)
		}
	}
}

// Fail answers for an error: one that is for people says what it says, any other is logged under the request's id.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	var told *web.Error
	switch {
	case errors.As(err, &told):
	case errors.Is(err, store.ErrNotFound):
		told = web.ErrNotFound
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return // nobody listens any more
	default:
		p.Log.ErrorContext(r.Context(), "request.failed", telemetry.KeyRequest, web.RequestID(r.Context()), "method", r.Method,
			"path", r.URL.Path, telemetry.KeyError, err)
		told = &web.Error{Status: http.StatusInternalServerError, Title: "Something went wrong", Text: "It is in the log, under the request's id. Trying again may help: the database or the bus may have been away."}
	}
	data := map[string]any{"Text": told.Text, "RequestID": web.RequestID(r.Context())}
	if err := p.showWith(w, r, told.Status, "error/error", told.Title, data); err != nil {
		p.Log.ErrorContext(r.Context(), "request.not_answered", telemetry.KeyRequest, web.RequestID(r.Context()), telemetry.KeyError, err)
	}
}
