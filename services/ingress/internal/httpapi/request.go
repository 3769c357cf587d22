package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"

	"github.com/parley-dm/parley/pkg/telemetry"
)

const headerRequestID = "X-Request-Id"

type requestKey struct{}

// requestID is the id that identify gave the request.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// identify gives every request an id: the one it came with, if that is fit for a log line, or a new one. The answer carries it.
func (a *api) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(headerRequestID)
		if !sane(id) {
			id = rand.Text()
		}
		w.Header().Set(headerRequestID, id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, id)))
	})
}

func sane(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// recover answers 500 when a handler panics, which is a bug: Meta then brings the webhook again.
func (a *api) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { //nolint:contextcheck // the request carries it
			cause := recover()
			if cause == nil {
				return
			}
			a.Log.Error("http.panic", telemetry.KeyRequest, requestID(r.Context()), telemetry.KeyError, cause, "stack", string(debug.Stack()))
			a.refuse(w, r, problem{http.StatusInternalServerError, "internal", "something broke here; the log says more under this request_id"})
		}()
		next.ServeHTTP(w, r)
	})
}

// client is the address that a request comes from. X-Forwarded-For counts only as far as proxies of ours wrote it: read
// from its end, the first address that is none of theirs.
func (a *api) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && a.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

func (a *api) trusted(addr netip.Addr) bool {
	for _, p := range a.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// clientKey is what the rate limit counts by. A household or server has a /64 of IPv6 addresses, not one.
func (a *api) clientKey(r *http.Request) (string, error) {
	addr := a.client(r)
	if addr.Is6() {
		if prefix, err := addr.WithZone("").Prefix(64); err == nil {
			return prefix.String(), nil
		}
	}
	return addr.String(), nil
}
