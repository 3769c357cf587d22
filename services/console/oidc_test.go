package console_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// provider plays an identity provider: it lets in whoever comes, with the claims that a test sets.
type provider struct {
	*httptest.Server
	t      *testing.T
	signer jose.Signer
	keys   jose.JSONWebKeySet

	mu     sync.Mutex
	claims map[string]any
	codes  map[string]url.Values // what each code was asked for with
}

func playProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	require.NoError(t, err)
	p := &provider{
		t: t, signer: signer, codes: map[string]url.Values{},
		keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}},
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.keys) })
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = r.URL.Query()
		p.mu.Unlock()
		back := r.URL.Query().Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		asked, ok := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		claims := maps.Clone(p.claims)
		p.mu.Unlock()
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		id, secret, _ := r.BasicAuth()
		if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || id != "parley" || secret != "the-secret" {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		for name, value := range map[string]any{
			"iss": p.URL, "aud": "parley", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": asked.Get("nonce"), "sub": "s-1",
		} {
			if _, set := claims[name]; !set {
				claims[name] = value
			}
		}
		token, err := jwt.Signed(p.signer).Claims(claims).Serialize()
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": token})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) says(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = claims
}

// signInBy goes the way to the provider and back, and returns the last answer.
func signInBy(t *testing.T, site *webtest.Site, c *http.Client) (status int, location string) {
	t.Helper()
	get := func(at string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, http.NoBody)
		require.NoError(t, err)
		resp, err := c.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, resp.Header.Get("Location")
	}
	status, to := get(site.URL + "/sign-in/oidc?next=%2Fme")
	require.Equal(t, http.StatusSeeOther, status)
	status, back := get(to)
	require.Equal(t, http.StatusFound, status)
	u, err := url.Parse(back)
	require.NoError(t, err)
	return get(site.URL + u.RequestURI()) // CONSOLE_URL of the test has another port
}

func withProvider(t *testing.T, change func(*console.Config)) (*webtest.Site, *provider) {
	t.Helper()
	p := playProvider(t)
	return webtest.Start(t, func(c *console.Config) {
		c.OIDC = console.OIDC{Issuer: p.URL, ClientID: "parley", ClientSecret: "the-secret"}
		if change != nil {
			change(c)
		}
	}), p
}

func TestWhoWasAddedSignsInWithTheProvider(t *testing.T) {
	t.Parallel()
	site, p := withProvider(t, nil)
	_, err := site.Store.AddUser(t.Context(), store.User{Email: "ann@example.com", Role: store.Agent})
	require.NoError(t, err)
	p.says(map[string]any{"email": "Ann@Example.com", "email_verified": true})
	client := site.Anonymous()
	status, location := signInBy(t, site, client)
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "/me", location)
	status, body := site.Do(client, http.MethodGet, "/me", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "ann@example.com")

	p.says(map[string]any{"email": "renamed@example.com", "email_verified": true})
	status, _ = signInBy(t, site, site.Anonymous())
	require.Equal(t, http.StatusSeeOther, status, "from then on it is the identity that counts, and not the address")
	p.says(map[string]any{"email": "ann@example.com", "email_verified": true, "sub": "another"})
	status, _ = signInBy(t, site, site.Anonymous())
	require.Equal(t, http.StatusForbidden, status, "an address that somebody else has now lets nobody into the account")
}

func TestWhomTheProviderDoesNotVouchForIsRefused(t *testing.T) {
	t.Parallel()
	site, p := withProvider(t, nil)
	_, err := site.Store.AddUser(t.Context(), store.User{Email: "ann@example.com", Role: store.Owner})
	require.NoError(t, err)
	good := map[string]any{"email": "ann@example.com", "email_verified": true}
	with := func(name string, value any) map[string]any {
		c := maps.Clone(good)
		c[name] = value
		return c
	}
	for name, claims := range map[string]map[string]any{
		"never added":     with("email", "eve@example.com"),
		"not verified":    with("email_verified", false),
		"no address":      {"email_verified": true},
		"another app's":   with("aud", "other"),
		"another issuer":  with("iss", "https://evil.example"),
		"another sign-in": with("nonce", "old"),
		"expired":         with("exp", time.Now().Add(-time.Hour).Unix()),
	} {
		p.says(claims)
		client := site.Anonymous()
		status, _ := signInBy(t, site, client)
		require.Equal(t, http.StatusForbidden, status, name)
		status, _ = site.Do(client, http.MethodGet, "/me", nil)
		require.Equal(t, http.StatusSeeOther, status, name)
	}
	require.Zero(t, count(t, site, `SELECT count(*) FROM sessions`))

	p.says(good) // a way back that this browser has not begun: somebody else's sign-in, planted
	status, _ := site.Do(site.Anonymous(), http.MethodGet, "/sign-in/oidc/callback?code=x&state=y", nil)
	require.Equal(t, http.StatusForbidden, status)
	status, _ = site.Do(site.Anonymous(), http.MethodGet, "/sign-in/oidc/callback?code=x&state=", nil)
	require.Equal(t, http.StatusForbidden, status)
}

func TestADomainAndARoleOfTheProvidersAreWelcome(t *testing.T) {
	t.Parallel()
	site, p := withProvider(t, func(c *console.Config) { c.Domains, c.RoleClaim = []string{"example.com"}, "groups" })
	owner := site.As(store.Owner)
	p.says(map[string]any{"email": "new@example.com", "email_verified": "true", "name": "New"})
	status, _ := signInBy(t, site, site.Anonymous())
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM users WHERE email = 'new@example.com' AND role = 'viewer' AND name = 'New'`))
	p.says(map[string]any{"email": "new@example.com", "email_verified": true, "groups": []string{"staff", "agent"}})
	status, _ = signInBy(t, site, site.Anonymous())
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM users WHERE email = 'new@example.com' AND role = 'agent'`))

	for name, claims := range map[string]map[string]any{
		"another domain":            {"email": "x@evil.example", "email_verified": true, "sub": "s-2"},
		"a domain that looks alike": {"email": "x@example.com@evil.example", "email_verified": true, "sub": "s-3"},
	} {
		p.says(claims)
		status, _ = signInBy(t, site, site.Anonymous())
		require.Equal(t, http.StatusForbidden, status, name)
	}
	status, _ = owner.Post("/people/"+userID(t, site, "new@example.com"), url.Values{"role": {"agent"}})
	require.Equal(t, http.StatusSeeOther, status)
	p.says(map[string]any{"email": "new@example.com", "email_verified": true, "groups": "owner"})
	status, _ = signInBy(t, site, site.Anonymous())
	require.Equal(t, http.StatusForbidden, status, "who may not sign in may not, whatever the provider says")
}

func userID(t *testing.T, site *webtest.Site, email string) string {
	t.Helper()
	u, err := site.Store.UserByEmail(t.Context(), email)
	require.NoError(t, err)
	return u.ID
}
