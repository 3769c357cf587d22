package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/parley-dm/parley/pkg/telemetry"
)

// handshake answers Meta's check that the webhook's address is ours, with the bare challenge. As text/plain: the challenge
// is the caller's text and must not become a page.
func (a *api) handshake(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var missing []string
	for _, name := range []string{"hub.mode", "hub.verify_token", "hub.challenge"} {
		if query.Get(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		a.refuse(w, r, problem{http.StatusBadRequest, "missing_parameter", "missing: " + strings.Join(missing, ", ")})
		return
	}
	if !equal(query.Get("hub.verify_token"), a.VerifyToken.Reveal()) || query.Get("hub.mode") != "subscribe" {
		a.Log.Warn("handshake.refused", telemetry.KeyRequest, requestID(r.Context()), "client", a.client(r).String())
		a.refuse(w, r, problem{http.StatusForbidden, "wrong_token", "hub.mode is not subscribe, or hub.verify_token is not FACEBOOK_VERIFY_TOKEN"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(query.Get("hub.challenge"))) //nolint:gosec // as text/plain with nosniff, it is no page
}

// equal compares without telling by its time where, or whether in length, the two differ.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
