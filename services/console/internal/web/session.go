package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/console/internal/store"
)

// SessionStore keeps sessions.
type SessionStore interface {
	AddSession(ctx context.Context, hash []byte, s store.Session) error
	Session(ctx context.Context, hash []byte, idle time.Duration) (store.Session, error)
	EndSession(ctx context.Context, userID, id string) error
}

// SessionOptions says how sessions are.
type SessionOptions struct {
	// Public is the console's own URL: with https, or another host than this machine, cookies are Secure.
	Public *url.URL
	// Idle ends a session that is not used, Max every session.
	Idle, Max time.Duration
	Now       func() time.Time
}

// Sessions signs people in and out, and finds who sends a request.
type Sessions struct {
	store SessionStore
	o     SessionOptions
	fail  func(http.ResponseWriter, *http.Request, error)
}

// NewSessions makes sessions. fail answers for an error.
func NewSessions(s SessionStore, o SessionOptions, fail func(http.ResponseWriter, *http.Request, error)) *Sessions {
	return &Sessions{store: s, o: o, fail: fail}
}

// NewToken is a secret of 256 bits, and the hash under which it is kept. A fast hash will do: nobody guesses such a secret.
func NewToken() (token string, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	token = base64.RawURLEncoding.EncodeToString(b[:])
	return token, HashToken(token)
}

// HashToken is the hash under which a token is kept.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// secure: over plain http the cookie is let through to this machine only.
func (s *Sessions) secure() bool {
	host := s.o.Public.Hostname()
	return s.o.Public.Scheme == "https" || host != "localhost" && host != "127.0.0.1" && host != "::1"
}

// cookieName has the prefix by which browsers see to it that no other host has set the cookie.
func (s *Sessions) cookieName() string {
	if s.secure() {
		return "__Host-parley"
	}
	return "parley"
}

// Cookie makes a cookie of the console's: HttpOnly, for this host only, not sent with other sites' writes. Lax and not
// Strict, so that a link in a mail or a chat, and the way back from an identity provider, arrive signed in.
func (s *Sessions) Cookie(name, value string, age time.Duration) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode} //nolint:gosec // Secure, but for this machine
	if c.MaxAge = int(age.Seconds()); value == "" {
		c.MaxAge = -1
	}
	return c
}

// SignIn starts a session with a new token, whatever the browser had before: a token that somebody planted there is worth
// nothing afterwards, and the session that it named is ended.
func (s *Sessions) SignIn(w http.ResponseWriter, r *http.Request, u store.User, method string) error {
	if old, ok := SessionOf(r.Context()); ok {
		if err := s.store.EndSession(r.Context(), old.User.ID, old.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	token, hash := NewToken()
	err := s.store.AddSession(r.Context(), hash, store.Session{
		User: u, Method: method, ExpiresAt: s.o.Now().Add(s.o.Max), RemoteAddr: RemoteAddr(r), UserAgent: strings.ToValidUTF8(r.UserAgent(), ""),
	})
	if err != nil {
		return err
	}
	http.SetCookie(w, s.Cookie(s.cookieName(), token, s.o.Max))
	return nil
}

// SignOut ends the request's session.
func (s *Sessions) SignOut(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, s.Cookie(s.cookieName(), "", 0))
	sess, ok := SessionOf(r.Context())
	if !ok {
		return nil
	}
	err := s.store.EndSession(r.Context(), sess.User.ID, sess.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Find is middleware that puts the session of a request into its context, if there is one.
func (s *Sessions) Find(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie(s.cookieName())
		if err != nil || len(cookie.Value) > 100 {
			next.ServeHTTP(w, r)
			return
		}
		sess, err := s.store.Session(r.Context(), HashToken(cookie.Value), s.o.Idle)
		switch {
		case errors.Is(err, store.ErrNotFound):
			http.SetCookie(w, s.Cookie(s.cookieName(), "", 0))
		case err != nil:
			s.fail(w, r, err)
			return
		default:
			r = r.WithContext(context.WithValue(r.Context(), sessionKey, sess))
		}
		next.ServeHTTP(w, r)
	})
}

// Need is middleware that lets in who is signed in and has a role, or more. Others are sent to sign in, or refused.
func (s *Sessions) Need(least store.Role) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sess, ok := SessionOf(r.Context())
			switch {
			case ok && sess.User.Role.May(least):
				next.ServeHTTP(w, r)
			case ok:
				s.fail(w, r, ErrForbidden)
			case r.Method == http.MethodGet && r.Header.Get("X-Fragment") == "" && r.Header.Get("Accept") != "text/event-stream":
				http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			default:
				s.fail(w, r, &Error{http.StatusUnauthorized, "Signed out", "Your session is over. Sign in and try again."})
			}
		})
	}
}

// Next is where to go after signing in: a path of the console's own. Anything else is the start page: it would be an open
// redirect.
func Next(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(raw, "/") ||
		strings.HasPrefix(raw, "//") || strings.ContainsAny(raw, "\\\r\n\t") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return u.RequestURI()
}
