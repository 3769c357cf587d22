package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/web"
)

func TestOnlyATrustedProxyTellsWhoAsks(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct{ from, forwarded, want string }{
		"no proxy":                  {"203.0.113.9:1", "", "203.0.113.9"},
		"claimed by a stranger":     {"203.0.113.9:1", "198.51.100.1", "203.0.113.9"},
		"by the proxy":              {"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		"claimed through the proxy": {"10.0.0.1:1", "1.2.3.4, 198.51.100.1", "198.51.100.1"},
		"two proxies":               {"10.0.0.1:1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		"nonsense":                  {"10.0.0.1:1", "nonsense", "10.0.0.1"},
		"IPv6":                      {"10.0.0.1:1", "2001:db8::1", "2001:db8::1"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = c.from
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		got := ""
		web.Proxies(trusted)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = web.RemoteAddr(r) })).
			ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, c.want, got, name)
	}
}

func FuzzNextLeadsToOurOwnPages(f *testing.F) {
	for _, s := range []string{"/", "/inbox?x=1", "//evil", `/\evil`, "https://evil", "/%2F/evil", "\t//evil", "/.//evil", "/a#b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		next := web.Next(raw)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://console.example/sign-in", http.NoBody)
		w := httptest.NewRecorder()
		http.Redirect(w, r, next, http.StatusSeeOther)
		to := w.Header().Get("Location")
		require.NotEmpty(t, to)
		require.Equal(t, byte('/'), to[0], "%q leads to %q", raw, to)
		require.False(t, len(to) > 1 && (to[1] == '/' || to[1] == '\\'), "%q leads to %q", raw, to)
	})
}
