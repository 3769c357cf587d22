package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/rollup"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// aMonth writes what a shop was asked and answered in thirty days, more by day than by night.
const aMonth = `
WITH told AS (
	SELECT n, $1::timestamptz - make_interval(hours => h, mins => (n * 7) % 60) AS at, h,
		CASE WHEN (h * 7 + n) % 9 = 0 THEN 'fallback' WHEN (h + n * 5) % 14 = 0 THEN 'operator' ELSE 'rule' END AS origin,
		(h + n) % 61 = 0 AS lost
	FROM generate_series(1, 720) h, generate_series(1, 14) n
	WHERE n <= 1 + (12 + 2 * (h % 5)) * greatest(0.05, sin(pi() * ((extract(hour FROM $1::timestamptz - make_interval(hours => h)) + 18)::int % 24) / 24.0) ^ 2) * (1.4 - h / 1200.0) / 2
), pairs AS (
	SELECT *, 'month_' || h || '_' || n AS event, (ARRAY['Do you sell gift cards?', 'Can I pay by invoice?', 'Do you have gift cards?', 'Is there parking at the shop?', 'can i pay with an invoice', 'gift cards?'])[1 + (h + n) % 6] AS open,
		(ARRAY['Prices', 'Shipping', 'Opening hours', 'Prices'])[1 + (h * n) % 4] AS rule, (ARRAY['en', 'en', 'en', 'de', 'fr'])[1 + (h + n) % 5] AS language FROM told
), asked AS (
	INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, status, timestamp, metadata)
	SELECT $2::uuid, $3, '7200', $3, CASE WHEN origin = 'fallback' THEN open ELSE rule || ', please?' END, 'inbound', 'received', at, jsonb_build_object('event_id', event) FROM pairs
)
INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, status, timestamp, sent_at, metadata)
SELECT $2::uuid, $3, $3, '7200', 'An answer', 'outbound', CASE WHEN lost THEN 'expired' ELSE 'read' END, at + make_interval(secs => 0.4 + (h * n % 23) / 12.0 + CASE WHEN h % 50 = 0 THEN 6 ELSE 0 END),
	CASE WHEN NOT lost THEN at + make_interval(secs => 0.4 + (h * n % 23) / 12.0 + CASE WHEN h % 50 = 0 THEN 6 ELSE 0 END) END,
	jsonb_build_object('intent', jsonb_build_object('id', 'in_' || event, 'part', 0, 'of', 1, 'event_id', event, 'origin', origin, 'trace', jsonb_build_object('language', language))
		|| CASE WHEN origin = 'rule' THEN jsonb_build_object('rule_id', (SELECT r.id FROM response_rules r WHERE r.name = rule), 'rule_name', rule) ELSE '{}' END,
		'delivery', jsonb_build_object('outcome', CASE WHEN lost THEN 'held' ELSE 'sent' END, 'reason', CASE WHEN lost THEN 'a person has the conversation' END))
FROM pairs`

// lively is a console with something of everything, and its owner.
type lively struct {
	owner *webtest.Person
	pages []livelyPage
}

type livelyPage struct{ name, path string }

// newLively fills a console.
func newLively(t *testing.T) *lively {
	t.Helper()
	site := webtest.Start(t, reachable)
	now := time.Now().UTC().Truncate(time.Second)
	maria, evil := busyInbox(t, site)
	owner := site.As(store.Owner)
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := site.DB.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec(`UPDATE users SET name = 'Anna Berg', email = 'anna@example.com' WHERE id = $1`, owner.User.ID)
	exec(`DELETE FROM messages WHERE conversation_id = $1`, evil.id) // what it tries is tried elsewhere
	exec(`DELETE FROM conversations WHERE id = $1`, evil.id)
	exec(`UPDATE messages SET status = 'read', timestamp = timestamp - interval '58 seconds', sent_at = timestamp - interval '58 seconds', metadata = metadata || '{"delivery": {"outcome": "sent"}}' WHERE message_text LIKE 'You can return%'`)
	rule := livelyRules(t, site)
	regular := newChat(t, site, shop, "7200", "Lena Fuchs")
	exec(aMonth, now, regular.id, shop)
	exec(`UPDATE conversations SET last_message_at = $2, last_inbound_at = $2, last_outbound_at = $2 WHERE id = $1`, regular.id, now.Add(-70*time.Minute))
	counter := rollup.New(site.Store, telemetry.Discard().Log, time.Now)
	require.Eventually(t, func() bool {
		require.NoError(t, counter.Count(t.Context()))
		until, err := site.Store.RolledUpUntil(t.Context())
		require.NoError(t, err)
		return time.Since(until) < 2*time.Hour
	}, 60*time.Second, 50*time.Millisecond)

	livelyFailures(t, site, now)
	livelyAccounts(t, site, now)
	webhook := livelyWebhooks(t, site, owner, now)
	status, _ := owner.Post("/inbox/"+maria.id+"/take", nil)
	require.Equal(t, http.StatusSeeOther, status)
	for shortcut, body := range map[string]string{"refund": "Your refund is on its way: it takes three to five days.", "sizes": "All bags come in 18 l, 24 l and 32 l.", "hours": "We are here on weekdays from 9 to 18."} {
		status, _ = owner.Post("/inbox/replies", url.Values{"shortcut": {shortcut}, "body": {body}})
		require.Equal(t, http.StatusSeeOther, status)
	}
	for email, role := range map[string]store.Role{"ben@example.com": store.Agent, "chloe@example.com": store.Agent, "dora@example.com": store.Viewer} {
		_, err := site.Store.AddUser(t.Context(), store.User{Email: email, Role: role})
		require.NoError(t, err)
	}
	var traced string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM messages WHERE message_text LIKE 'Our bags%'`).Scan(&traced))
	_, body := owner.Get("/failures")
	key := keyFor(t, body, "temporary failure")
	return &lively{owner: owner, pages: []livelyPage{
		{"home", "/"}, {"inbox", "/inbox"}, {"thread", "/inbox/" + maria.id}, {"trace", "/inbox/" + maria.id + "/trace/" + traced}, {"replies", "/inbox/replies"},
		{"rules", "/rules"}, {"rule", "/rules/" + rule}, {"rule-new", "/rules/new"}, {"rule-history", "/rules/" + rule + "/history"}, {"rules-import", "/rules/import"},
		{"analytics", "/analytics?days=30"}, {"failures", "/failures"}, {"failures-group", "/failures/group?key=" + key}, {"failures-preview", "/failures/preview?key=" + key},
		{"accounts", "/accounts"}, {"system", "/system"}, {"webhooks", "/webhooks"}, {"webhook", "/webhooks/" + webhook}, {"people", "/people"},
		{"person", "/people/" + owner.User.ID}, {"audit", "/audit"}, {"me", "/me"},
	}}
}

// livelyRules are a shop's.
func livelyRules(t *testing.T, site *webtest.Site) (id string) {
	t.Helper()
	for n, r := range []rules.Rule{
		{Name: "A person, please", Keywords: []string{"human", "person", "complaint"}, Response: "One of us answers you soon.", Then: rules.Then{HandOff: true}, Active: true},
		{Name: "Prices", Keywords: []string{"price", "how much", "was kostet"}, Response: "Our bags start at 49 €. You find all prices at https://shop.example/prices", Active: true},
		{Name: "Shipping", Keywords: []string{"ship", "delivery", "versand"}, Response: "We ship within two days, to all of Europe.", Active: true},
		{Name: "Opening hours", Keywords: []string{"open", "hours"}, Response: "We are here on weekdays from 9 to 18.", Active: true},
		{Name: "Price list", Keywords: []string{"price list"}, Response: "Here is the list.", Active: true},
		{Name: "Summer sale", Keywords: []string{"sale"}, Response: "Everything is 20 % off until Sunday!"},
	} {
		r.MatchType, r.Priority = rules.MatchWord, 60-10*n
		made := addRule(t, site, r)
		if r.Name == "Prices" {
			id = made.ID
		}
	}
	return id
}

func livelyFailures(t *testing.T, site *webtest.Site, now time.Time) {
	t.Helper()
	c := newChat(t, site, shop, "7300", "Ada Okafor")
	c.hears("Where is my parcel?", now.Add(-2*time.Hour), nil)
	for n := range 3 {
		c.failing("Your parcel is on its way.", dm.OutcomeFailed, now.Add(-time.Duration(n+40)*time.Minute), refusedWith(2, 0, "(#2) Service temporarily unavailable"))
	}
	c.failing("Here is a picture of it.", dm.OutcomeFailed, now.Add(-50*time.Minute), refusedWith(100, 2534015, "(#100) Invalid message data"))
	c.failing("It arrives on Friday.", dm.OutcomeUnknown, now.Add(-35*time.Minute), map[string]any{"reason": "no answer within 10 s"})
}

func livelyAccounts(t *testing.T, site *webtest.Site, now time.Time) {
	t.Helper()
	fine := &accounts.TokenState{Fingerprint: "f1", Valid: true, Checked: now.Add(-time.Hour), Expires: now.Add(51 * 24 * time.Hour), Refreshed: now.Add(-9 * 24 * time.Hour)}
	tell(t, site, accounts.State{Channel: "instagram", Account: shop, Name: "Nordic Bags", Updated: now, Token: fine, Usage: &accounts.UsageState{Percent: 37, Rate: 1, At: now.Add(-time.Minute)}})
	tell(t, site, accounts.State{Channel: "instagram", Account: branch, Name: "Nordic Bags Oslo", Updated: now, Token: &accounts.TokenState{Fingerprint: "f2", Valid: true, Checked: now, Expires: now.Add(80 * time.Hour)}, Usage: &accounts.UsageState{Percent: 91, Rate: 0.2025, At: now}})
	dead := paused("17841400000000003")
	dead.Name, dead.Parked = "Nordic Outlet", 18
	dead.Pause.Reason, dead.Pause.WhatToDo = "Error validating access token: the session has expired", "get a new token for the account and put it where the old one is; what waits then leaves by itself, in order"
	tell(t, site, dead)
	for _, r := range []roster.Report{
		{Service: "ingress", Instance: "a", Host: "web-1", Checks: []telemetry.Result{{Name: "ingress.spool", OK: true, Detail: "empty"}}}, {Service: "responder", Instance: "a", Host: "work-1"},
		{Service: "responder", Instance: "b", Host: "work-2"}, {Service: "sender", Instance: "a", Host: "work-1", Troubles: []telemetry.Trouble{{Service: "sender", Message: "account.paused", Account: "17841400000000003", Error: "the session has expired", First: now.Add(-time.Hour), Last: now, Count: 3}}},
		{Service: "archiver", Instance: "a", Host: "work-2"},
	} {
		r.Ready, r.Version, r.Started, r.At = true, "4e1f09ab22cd", now.Add(-31*time.Hour), now
		report(t, site, r)
	}
}

func livelyWebhooks(t *testing.T, site *webtest.Site, owner *webtest.Person, now time.Time) (id string) {
	t.Helper()
	for _, form := range []url.Values{
		{"url": {"https://crm.example.com/hooks/parley"}, "event": {store.EventReceived, store.EventSent}},
		{"url": {"https://warehouse.example.com/parley"}, "event": {store.EventFailed}},
	} {
		status, _ := send(t, site, owner, "/webhooks", form)
		require.Equal(t, http.StatusOK, status)
	}
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM outgoing_webhooks WHERE url LIKE '%crm%'`).Scan(&id))
	_, err := site.DB.Exec(t.Context(), `INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, body, state, attempts, created_at, next_attempt_at, finished_at, response_status, error)
		SELECT $1, CASE WHEN n % 4 = 0 THEN 'reply.sent' ELSE 'message.received' END, 'ev_' || md5(n::text), $2, CASE WHEN n IN (2, 5) THEN '{}'::jsonb END,
			CASE n WHEN 2 THEN 'waiting' WHEN 5 THEN 'failed' ELSE 'delivered' END, CASE n WHEN 2 THEN 3 WHEN 5 THEN 10 ELSE 1 END, $3::timestamptz - make_interval(mins => n * 11),
			CASE n WHEN 2 THEN $3::timestamptz + interval '25 minutes' END, CASE WHEN n <> 2 THEN $3::timestamptz END, CASE WHEN n IN (2, 5) THEN 503 ELSE 200 END, CASE WHEN n IN (2, 5) THEN 'answered 503' END
		FROM generate_series(12, 1, -1) n`, id, shop, now)
	require.NoError(t, err)
	return id
}
