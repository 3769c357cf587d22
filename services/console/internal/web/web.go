// Package web is how requests reach the console's pages: the router's middleware, security headers, sessions, roles and
// the defence against forged requests.
//
// It draws no page and runs no query of its own beyond finding who is signed in.
//
// Forged requests are refused by what the browser itself says: [http.CrossOriginProtection] refuses a write whose
// Sec-Fetch-Site or Origin names another site, and the session's cookie is SameSite=Lax, so that a browser too old to say
// either sends no cookie with such a write. A token in each form would add nothing to the two, and is what people forget.
package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/parley-dm/parley/services/console/internal/store"
)

// Handler is a page's action: it writes its answer, or returns an error, which becomes a page that says so.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Error is an error that a person may read, with its HTTP status.
type Error struct {
	Status int
	Title  string
	Text   string
}

func (e *Error) Error() string { return e.Title + ": " + e.Text }

// The usual ones. What is not in somebody's scope is not found: that it exists is not told.
var (
	ErrNotFound  = &Error{http.StatusNotFound, "Not found", "There is no such page, or it is not yours to see."}
	ErrForbidden = &Error{http.StatusForbidden, "Not allowed", "Your role does not allow this. An owner can change it."}
)

// BadRequest is a form that cannot be taken.
func BadRequest(text string) error { return &Error{http.StatusBadRequest, "This cannot be done", text} }

type contextKey int

const (
	sessionKey contextKey = iota
	nonceKey
	requestKey
)

// SessionOf is who is signed in; ok is false for nobody.
func SessionOf(ctx context.Context) (s store.Session, ok bool) {
	s, ok = ctx.Value(sessionKey).(store.Session)
	return s, ok
}

// UserOf is the user who is signed in. It is for handlers behind [Sessions.Need], where there is always one.
func UserOf(r *http.Request) store.User {
	s, _ := SessionOf(r.Context())
	return s.User
}

// ScopeOf is which accounts the user sees.
func ScopeOf(r *http.Request) store.Scope {
	if u := UserOf(r); len(u.Accounts) > 0 {
		return u.Accounts
	}
	return store.All
}

// ActorOf is who makes a change by this request, for the audit log.
func ActorOf(r *http.Request) store.Actor {
	u := UserOf(r)
	return store.Actor{UserID: u.ID, Name: u.Email, Via: "console", RemoteAddr: RemoteAddr(r)}
}

// RemoteAddr is the address of who asks, as [Proxies] found it.
func RemoteAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Proxies is middleware that takes the client's address from X-Forwarded-For where the request came through one of the
// trusted proxies: the last address there that is not a trusted proxy's own.
func Proxies(trusted []netip.Prefix) func(http.Handler) http.Handler {
	isTrusted := func(s string) bool {
		addr, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil {
			return false
		}
		for _, p := range trusted {
			if p.Contains(addr.Unmap()) {
				return true
			}
		}
		return false
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isTrusted(RemoteAddr(r)) {
				hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
				for i := len(hops) - 1; i >= 0; i-- {
					hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
					if err != nil {
						break
					}
					r.RemoteAddr = net.JoinHostPort(hop.Unmap().String(), "0")
					if !isTrusted(hop.String()) {
						break
					}
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}
