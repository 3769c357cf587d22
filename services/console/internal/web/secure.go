package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
)

// NonceOf is the nonce of the answer's script elements.
func NonceOf(ctx context.Context) string {
	nonce, _ := ctx.Value(nonceKey).(string)
	return nonce
}

// Headers is middleware that sets the security headers of every answer. media are the hosts that pictures of customers may
// come from.
func Headers(public *url.URL, media []string) func(http.Handler) http.Handler {
	sources := "'self' data:"
	for _, host := range media {
		sources += " " + host
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nonce := rand.Text()
			h := w.Header()
			h.Set("Content-Security-Policy", strings.Join([]string{
				"default-src 'none'",
				"script-src 'self' 'nonce-" + nonce + "'", // 'self' for what modules import
				"style-src 'self'",
				"img-src " + sources,
				"media-src " + sources,
				"connect-src 'self'",
				"form-action 'self'",
				"base-uri 'none'",
				"frame-ancestors 'none'",
			}, "; "))
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("X-Frame-Options", "DENY")
			h.Set("Referrer-Policy", "same-origin") // a one-time link or an id must not reach other sites
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
			h.Set("Cache-Control", "no-store") // assets say otherwise
			if public.Scheme == "https" {
				h.Set("Strict-Transport-Security", "max-age=31536000")
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nonceKey, nonce)))
		})
	}
}

// SameOrigin is middleware that refuses writes which another site made a browser send; see the package's comment.
func SameOrigin(public *url.URL, fail func(http.ResponseWriter, *http.Request, error)) (func(http.Handler) http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	// Behind a proxy that changes the Host header, the console's own origin is not what the request says.
	if err := protection.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, err
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, &Error{http.StatusForbidden, "Not from here", "Another site made your browser ask for this. If it was you, go to the console's own page and try again."})
	}))
	return protection.Handler, nil
}
