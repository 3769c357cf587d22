//nolint:bodyclose // answers are read and closed where they are asked for
package console_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// receiver is a program that is told by webhooks.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []call
}

type call struct{ body, signature string }

func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	r := &receiver{status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, call{string(b), req.Header.Get("X-Parley-Signature-256")})
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) calls() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.got...)
}

func reachable(c *console.Config) { c.WebhooksPrivate = true }

// writes publishes what a customer writes, as ingress does.
func writes(t *testing.T, site *webtest.Site, id, account, text string) {
	t.Helper()
	now := time.Now().UTC()
	e := dm.Event{
		ID: id, Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: "7"}, Kind: dm.KindMessage, KnownAccount: true,
		MID: "m_" + id, MessageType: "text", Text: text, Time: now, ReceivedAt: now, Source: dm.SourceWebhook,
	}
	require.NoError(t, site.Pipeline.Publish(t.Context(), site.Pipeline.Event(e, e.ID)))
}

// secretOn is the secret that a page shows.
func secretOn(t *testing.T, body string) string {
	t.Helper()
	m := regexp.MustCompile(`<code id="secret"[^>]*>([A-Z0-9]{20,})</code>`).FindStringSubmatch(body)
	require.NotNil(t, m, "no secret is shown")
	return m[1]
}

func TestAWebhookIsAddedToldAndToldAgain(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, reachable)
	told := newReceiver(t, http.StatusInternalServerError)
	owner := site.As(store.Owner)
	form := url.Values{"url": {told.URL + "/in?key=<script>"}, "event": {store.EventReceived}}
	status, body := send(t, site, owner, "/webhooks", form)
	require.Equal(t, http.StatusOK, status)
	secret := secretOn(t, body)
	var id string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM outgoing_webhooks`).Scan(&id))
	require.Equal(t, 1, audited(t, site, "webhook.added", "webhook:"+id))
	path := "/webhooks/" + id
	for _, where := range []string{"/webhooks", path} {
		_, body = owner.Get(where)
		require.NotContains(t, body, secret, "it is shown once")
		require.NotContains(t, body, "<script>")
		require.Contains(t, body, "key=&lt;script&gt;")
	}

	writes(t, site, "ev_1", "171", "hello <b>you</b>")
	require.Eventually(t, func() bool { _, body = owner.Get(path); return strings.Contains(body, "answered 500") }, 30*time.Second, 20*time.Millisecond)
	require.Contains(t, body, "tried again")
	require.Contains(t, body, "tried <time", "when it is tried next")
	_, err := site.DB.Exec(t.Context(), `UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 hour'`) // not by itself
	require.NoError(t, err)
	told.answers(http.StatusOK)
	var delivery string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id::text FROM webhook_deliveries`).Scan(&delivery))
	again := path + "/deliveries/" + delivery + "/again"
	status, _ = owner.Post(again, nil)
	require.Equal(t, http.StatusSeeOther, status)
	require.Eventually(t, func() bool { _, body = owner.Get(path); return strings.Contains(body, ">delivered<") }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, 1, audited(t, site, "webhook.sent_again", "webhook:"+id))
	calls := told.calls()
	require.Equal(t, signed.Sign(secret, []byte(calls[len(calls)-1].body)), calls[len(calls)-1].signature)
	var what struct{ Message struct{ Text string } }
	require.NoError(t, json.Unmarshal([]byte(calls[0].body), &what))
	require.Equal(t, "hello <b>you</b>", what.Message.Text)
	status, _ = owner.Post(again, nil)
	require.Equal(t, http.StatusNotFound, status, "what was delivered is not kept")

	status, body = send(t, site, owner, path+"/secret", nil)
	require.Equal(t, http.StatusOK, status)
	second := secretOn(t, body)
	require.NotEqual(t, secret, second)
	writes(t, site, "ev_2", "171", "and?")
	require.Eventually(t, func() bool {
		calls := told.calls()
		last := calls[len(calls)-1]
		return strings.Contains(last.body, "and?") && last.signature == signed.Sign(second, []byte(last.body))
	}, 30*time.Second, 20*time.Millisecond, "it is signed with the new secret")
	require.Equal(t, 1, audited(t, site, "webhook.secret_changed", "webhook:"+id))
	require.Zero(t, count(t, site, `SELECT count(*) FROM audit_log WHERE audit_log::text LIKE '%' || $1 || '%' OR audit_log::text LIKE '%' || $2 || '%'`, secret, second))
}

func TestAWebhookIsSwitchedOffSentAgainAndDeleted(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, reachable)
	told := newReceiver(t, http.StatusOK)
	owner := site.As(store.Owner)
	status, _ := send(t, site, owner, "/webhooks", url.Values{"url": {told.URL}, "event": {store.EventReceived}, "accounts": {"171"}})
	require.Equal(t, http.StatusOK, status)
	var id string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM outgoing_webhooks`).Scan(&id))
	_, err := site.DB.Exec(t.Context(), `INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, body, created_at, next_attempt_at)
		VALUES ($1, 'message.received', 'ev_1', '171', '{"id": "ev_1"}', now(), now() + interval '1 hour')`, id)
	require.NoError(t, err)
	path := "/webhooks/" + id
	status, _ = owner.Post(path+"/switch", nil)
	require.Equal(t, http.StatusSeeOther, status)
	_, err = site.DB.Exec(t.Context(), `UPDATE webhook_deliveries SET next_attempt_at = now()`)
	require.NoError(t, err)
	var body string
	require.Eventually(t, func() bool { _, body = owner.Get(path); return strings.Contains(body, "the webhook is switched off") }, 30*time.Second, 20*time.Millisecond)
	require.Contains(t, body, "Send again")
	require.Empty(t, told.calls())

	status, _ = owner.Post(path+"/switch", url.Values{"active": {"1"}})
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, 2, audited(t, site, "webhook.switched", "webhook:"+id))
	var delivery string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id::text FROM webhook_deliveries`).Scan(&delivery))
	status, _ = owner.Post(path+"/deliveries/"+delivery+"/again", nil)
	require.Equal(t, http.StatusSeeOther, status)
	require.Eventually(t, func() bool { return len(told.calls()) == 1 }, 30*time.Second, 20*time.Millisecond)

	status, _ = owner.Post(path+"/delete", nil)
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, 1, audited(t, site, "webhook.deleted", "webhook:"+id))
	status, _ = owner.Get(path)
	require.Equal(t, http.StatusNotFound, status)
	_, body = owner.Get("/webhooks")
	require.Contains(t, body, "No webhooks yet")
}

func TestWebhooksAreForOwnersAndTheirAccounts(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	owner := site.As(store.Owner)
	added := func(form url.Values) string {
		status, _ := send(t, site, owner, "/webhooks", form)
		require.Equal(t, http.StatusOK, status)
		var id string
		require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM outgoing_webhooks ORDER BY created_at DESC LIMIT 1`).Scan(&id))
		return id
	}
	id := added(url.Values{"url": {"https://example.com/all"}, "event": {store.EventReceived}})
	narrow := added(url.Values{"url": {"https://example.com/one"}, "event": {store.EventReceived}, "accounts": {"171"}})
	_, err := site.DB.Exec(t.Context(), `INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, body, state) VALUES ($1, 'reply.sent', 'e', '171', '{}', 'failed')`, id)
	require.NoError(t, err)
	var delivery string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id::text FROM webhook_deliveries`).Scan(&delivery))
	changes := []string{"/switch", "/secret", "/delete", "/deliveries/" + delivery + "/again"}
	before := count(t, site, `SELECT count(*) FROM audit_log`)
	for _, role := range []store.Role{store.Viewer, store.Agent} {
		p := site.As(role)
		for _, path := range []string{"/webhooks", "/webhooks/" + id} {
			status, _ := p.Get(path)
			require.Equal(t, http.StatusForbidden, status, "%s %s", role, path)
		}
		status, _ := p.Post("/webhooks", url.Values{"url": {"https://example.com"}, "event": {store.EventReceived}})
		require.Equal(t, http.StatusForbidden, status)
		for _, change := range changes {
			status, _ = p.Post("/webhooks/"+id+change, nil)
			require.Equal(t, http.StatusForbidden, status, "%s %s", role, change)
		}
		_, body := p.Get("/")
		require.NotContains(t, body, `href="/webhooks"`)
	}
	some := site.As(store.Owner, "171")
	_, body := some.Get("/webhooks")
	require.NotContains(t, body, "example.com/all", "it tells of accounts that they do not see")
	require.Contains(t, body, "example.com/one")
	status, _ := some.Get("/webhooks/" + narrow)
	require.Equal(t, http.StatusOK, status)
	status, _ = some.Get("/webhooks/" + id)
	require.Equal(t, http.StatusNotFound, status)
	for _, change := range changes {
		status, _ = some.Post("/webhooks/"+id+change, nil)
		require.Equal(t, http.StatusNotFound, status, change)
	}
	for name, form := range map[string]url.Values{
		"another's account": {"url": {"https://example.com"}, "event": {store.EventReceived}, "accounts": {"172"}},
		"no event":          {"url": {"https://example.com"}},
		"unknown event":     {"url": {"https://example.com"}, "event": {"everything"}},
		"this machine":      {"url": {"https://127.0.0.1/"}, "event": {store.EventReceived}},
		"plain http":        {"url": {"http://example.com/"}, "event": {store.EventReceived}},
		"javascript":        {"url": {"javascript:alert(1)"}, "event": {store.EventReceived}},
	} {
		status, body = send(t, site, some, "/webhooks", form)
		require.Equal(t, http.StatusUnprocessableEntity, status, name)
		require.Contains(t, body, `role="alert"`, name)
	}
	require.Equal(t, before, count(t, site, `SELECT count(*) FROM audit_log`), "what was refused was not done")
	require.Equal(t, 2, count(t, site, `SELECT count(*) FROM outgoing_webhooks`))
}

func TestWebhooksByTheAPI(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	s := newScript(t, site, store.Owner, []string{"webhooks:write"})
	type webhook struct {
		ID, Secret string
		Active     bool
	}
	var made, again, changed webhook
	body := map[string]any{"url": "https://example.com/in", "events": []string{store.EventSent}}
	require.Equal(t, http.StatusCreated, s.call(http.MethodPost, "/api/v1/webhooks", "k", body, &made).StatusCode)
	require.NotEmpty(t, made.Secret)
	// The first request made it and died before it was answered: a minute later the key is taken over.
	_, err := site.DB.Exec(t.Context(), `UPDATE idempotency_keys SET status = NULL, body = NULL, content_type = NULL, created_at = now() - interval '2 minutes'`)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, s.call(http.MethodPost, "/api/v1/webhooks", "k", body, &again).StatusCode)
	require.Equal(t, made, again, "the same webhook with the same secret")
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM outgoing_webhooks`))
	require.Equal(t, 1, audited(t, site, "webhook.added", "webhook:"+made.ID))

	path := "/api/v1/webhooks/" + made.ID
	require.Equal(t, http.StatusOK, s.call(http.MethodPatch, path, "", map[string]any{"active": false}, &changed).StatusCode)
	require.False(t, changed.Active)
	require.Empty(t, changed.Secret)
	require.Equal(t, http.StatusOK, s.call(http.MethodPost, path+"/secret", "", nil, &changed).StatusCode)
	require.NotEqual(t, made.Secret, changed.Secret)
	_, err = site.DB.Exec(t.Context(), `INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, body, state) VALUES ($1, 'reply.sent', 'e', '171', '{}', 'failed')`, made.ID)
	require.NoError(t, err)
	var log struct {
		Deliveries []struct {
			ID         json.Number
			Repeatable bool
		}
	}
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, path+"/deliveries", "", nil, &log).StatusCode)
	require.True(t, log.Deliveries[0].Repeatable)
	require.Equal(t, http.StatusAccepted, s.call(http.MethodPost, path+"/deliveries/"+log.Deliveries[0].ID.String()+"/again", "", nil, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, path+"/deliveries/999/again", "", nil, nil).StatusCode)
	agent := newScript(t, site, store.Agent, []string{"webhooks:write"})
	require.Equal(t, http.StatusForbidden, agent.call(http.MethodPost, path+"/secret", "", nil, nil).StatusCode)
	require.Equal(t, http.StatusNoContent, s.call(http.MethodDelete, path, "", nil, nil).StatusCode)
}

func TestWebhooksInABrowser(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, reachable)
	told := newReceiver(t, http.StatusOK)
	for _, c := range []struct {
		name  string
		width int64
		dark  bool
	}{{"light", webtest.Desktop, false}, {"phone", webtest.Phone, true}} {
		b := site.As(store.Owner).Open(c.width, c.dark)
		b.Go("/webhooks")
		require.False(t, b.Overflows(), c.name)
		b.Screenshot("webhooks-" + c.name)
		b.Type("#url", told.URL+"/"+strings.Repeat("a-long-path/", 12))
		b.Click("form.stack button.primary")
		require.Len(t, b.Text("#secret"), 26)
		writes(t, site, "ev_"+c.name, "171", "hello")
		require.Eventually(t, func() bool { return len(told.calls()) > 0 }, 30*time.Second, 20*time.Millisecond)
		b.Click(`.page-head a`)
		b.Click(`td[data-row] a`)
		b.Wait(".badge.good")
		require.False(t, b.Overflows(), c.name)
		b.Screenshot("webhooks-show-" + c.name)
	}
}
