//nolint:bodyclose // answers are read and closed where they are asked for
package console_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// script is somebody with a token.
type script struct {
	t    *testing.T
	site *webtest.Site
	auth string
}

func newScript(t *testing.T, site *webtest.Site, role store.Role, scopes []string, accounts ...string) *script {
	t.Helper()
	user := site.As(role, accounts...).User
	secret, _ := web.NewToken()
	secret = store.TokenPrefix + secret
	require.NoError(t, site.Store.AddToken(t.Context(), store.Actor{UserID: user.ID, Name: user.Email, Via: "console"}, web.HashToken(secret), store.Token{
		UserID: user.ID, Name: "script", Hint: secret[:10], Scopes: scopes, ExpiresAt: time.Now().Add(time.Hour),
	}))
	return &script{t, site, "Bearer " + secret}
}

// call asks, and reads the answer into out, if it is not nil.
func (s *script) call(method, path, key string, body, out any) *http.Response {
	s.t.Helper()
	var given io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(s.t, err)
		given = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.site.URL+path, given)
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	if s.auth != "" {
		req.Header.Set("Authorization", s.auth)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := s.site.Anonymous().Do(req)
	require.NoError(s.t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	if out != nil {
		require.NoError(s.t, json.Unmarshal(b, out), string(b))
	}
	return resp
}

func TestTheAPIsDocumentIsForEverybodyAndNothingElseIs(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	nobody := &script{t: t, site: site}
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID string }
	}
	require.Equal(t, http.StatusOK, nobody.call(http.MethodGet, "/api/openapi.json", "", nil, &document).StatusCode)
	require.Equal(t, "3.1.0", document.OpenAPI)
	for _, path := range []string{
		"/api/v1/conversations", "/api/v1/conversations/{id}/messages", "/api/v1/conversations/{id}/hold", "/api/v1/rules", "/api/v1/rules/{id}",
		"/api/v1/failures", "/api/v1/accounts", "/api/v1/stats", "/api/v1/webhooks",
	} {
		require.Contains(t, document.Paths, path)
	}
	var problem struct{ Status int }
	resp := nobody.call(http.MethodGet, "/api/v1/conversations", "", nil, &problem)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
	require.Equal(t, http.StatusUnauthorized, problem.Status)
	// A browser's session is no token.
	status, _ := site.As(store.Owner).Get("/api/v1/conversations")
	require.Equal(t, http.StatusUnauthorized, status)
	reader := newScript(t, site, store.Owner, []string{"rules:read"})
	require.Equal(t, http.StatusForbidden, reader.call(http.MethodGet, "/api/v1/conversations", "", nil, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, reader.call(http.MethodGet, "/api/v1/nothing", "", nil, nil).StatusCode)
}

func TestRulesByTheAPI(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	s := newScript(t, site, store.Agent, []string{"rules:read", "rules:write"})
	type rule struct {
		ID, Name string
		Version  int
	}
	var made, again rule
	body := map[string]any{"name": "parking", "keywords": []string{"parking"}, "response_text": "Behind the house.", "active": true, "priority": 5}
	require.Equal(t, http.StatusCreated, s.call(http.MethodPost, "/api/v1/rules", "k1", body, &made).StatusCode)
	resp := s.call(http.MethodPost, "/api/v1/rules", "k1", body, &again)
	require.Equal(t, "true", resp.Header.Get("Idempotency-Replayed"))
	require.Equal(t, made, again, "the same request is answered the same, and done once")
	var n int
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT count(*) FROM response_rules WHERE name = 'parking' AND updated_by IS NOT NULL`).Scan(&n))
	require.Equal(t, 1, n)

	// The first request made the rule and died before it was answered: a minute later the key is taken over.
	_, err := site.DB.Exec(t.Context(), `UPDATE idempotency_keys SET status = NULL, body = NULL, content_type = NULL, created_at = now() - interval '2 minutes'`)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, s.call(http.MethodPost, "/api/v1/rules", "k1", body, &again).StatusCode)
	require.Equal(t, made, again)
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT count(*) FROM response_rules WHERE name = 'parking'`).Scan(&n))
	require.Equal(t, 1, n)
	require.Equal(t, 1, audited(t, site, "rule.created", "rule:"+made.ID))

	body["version"], body["response_text"] = made.Version, "In front of the house."
	var changed rule
	require.Equal(t, http.StatusOK, s.call(http.MethodPut, "/api/v1/rules/"+made.ID, "", body, &changed).StatusCode)
	require.Greater(t, changed.Version, made.Version)
	require.Equal(t, http.StatusConflict, s.call(http.MethodPut, "/api/v1/rules/"+made.ID, "", body, nil).StatusCode, "an older version")
	var problem struct{ Detail string }
	bad := map[string]any{"name": "bad", "keywords": []string{"("}, "match_type": "regex", "response_text": "x", "active": true}
	require.Equal(t, http.StatusUnprocessableEntity, s.call(http.MethodPost, "/api/v1/rules", "", bad, &problem).StatusCode)
	require.Contains(t, problem.Detail, "RE2")
	delete(body, "version")
	require.Equal(t, http.StatusForbidden, newScript(t, site, store.Agent, []string{"rules:write"}, "171").call(http.MethodPost, "/api/v1/rules", "", body, nil).StatusCode)
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE target = $1 AND via = 'api'`, "rule:"+made.ID).Scan(&n))
	require.Equal(t, 2, n)
}

func TestConversationsByTheAPI(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	wroteADay(t, site, "171", 3, 0)
	wroteADay(t, site, "172", 1, 0)
	s := newScript(t, site, store.Agent, []string{"conversations:read", "conversations:write", "messages:send"}, "171")
	_, err := site.DB.Exec(t.Context(), `UPDATE conversations SET last_message_at = now()`)
	require.NoError(t, err)
	_, err = site.DB.Exec(t.Context(), `UPDATE messages SET timestamp = now() - interval '1 hour' WHERE direction = 'inbound'`)
	require.NoError(t, err)
	var list struct {
		Conversations []struct{ ID, Account string }
	}
	s.call(http.MethodGet, "/api/v1/conversations", "", nil, &list)
	require.Len(t, list.Conversations, 1, "of another account nothing is seen")
	path := "/api/v1/conversations/" + list.Conversations[0].ID
	var first, second struct {
		IntentID string `json:"intent_id"`
	}
	text := map[string]string{"text": "Hello, this is Ann."}
	require.Eventually(t, func() bool { // the console has to have joined the bus
		return s.call(http.MethodPost, path+"/messages", "", map[string]string{"text": "first"}, nil).StatusCode == http.StatusAccepted
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, http.StatusAccepted, s.call(http.MethodPost, path+"/messages", "once", text, &first).StatusCode)
	s.call(http.MethodPost, path+"/messages", "once", text, &second)
	require.NotEmpty(t, first.IntentID)
	require.Equal(t, first.IntentID, second.IntentID)

	require.Equal(t, http.StatusOK, s.call(http.MethodPost, path+"/hold", "", map[string]string{"for": "2h"}, nil).StatusCode)
	var one struct{ Holder *struct{ Who string } }
	s.call(http.MethodGet, path, "", nil, &one)
	require.NotNil(t, one.Holder)
	require.Equal(t, "person", one.Holder.Who)

	var other string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id::text FROM conversations WHERE page_id = '172'`).Scan(&other))
	require.Equal(t, http.StatusNotFound, s.call(http.MethodGet, "/api/v1/conversations/"+other, "", nil, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, "/api/v1/conversations/"+other+"/messages", "", text, nil).StatusCode)
}

func TestAnAccountIsResumedOnlyByThoseWhoSeeIt(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	one := newScript(t, site, store.Owner, []string{"accounts:write"}, "171")
	resume := func(s *script, key string) func() bool {
		return func() bool {
			return s.call(http.MethodPost, "/api/v1/accounts/"+key+"/resume", "", nil, nil).StatusCode == http.StatusConflict
		}
	}
	// Nothing is paused: that is what is said of an account that the caller sees, once the console has joined the bus.
	require.Eventually(t, resume(one, "instagram.171"), 20*time.Second, 50*time.Millisecond)
	for _, key := range []string{"instagram.172", "instagram.1171", "app.facebook", "app.171"} {
		require.Equal(t, http.StatusNotFound, one.call(http.MethodPost, "/api/v1/accounts/"+key+"/resume", "", nil, nil).StatusCode, key)
	}
	require.Eventually(t, resume(newScript(t, site, store.Owner, []string{"accounts:write"}), "app.facebook"), 20*time.Second, 50*time.Millisecond)
}
