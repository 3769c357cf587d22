package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/rollup"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// wroteADay writes a day of an account: questions that are answered by a rule within 800 ms, or not.
func wroteADay(t *testing.T, site *webtest.Site, account string, matched, unmatched int) {
	t.Helper()
	var conversation string
	require.NoError(t, site.DB.QueryRow(t.Context(), `INSERT INTO conversations (page_id, instagram_user_id) VALUES ($1, '7001') RETURNING id::text`, account).Scan(&conversation))
	began := time.Now().UTC().Add(-26 * time.Hour).Truncate(time.Hour)
	for n := range matched + unmatched {
		at := began.Add(time.Duration(n) * time.Minute)
		text, intent := "price?", `{"id":"in_%[1]d","part":0,"of":1,"event_id":"ev_%[2]s%[1]d","origin":"rule","rule_id":"8b7","rule_name":"<b>price</b>","trace":{"language":"en"}}`
		if n >= matched {
			text, intent = fmt.Sprintf("do you have parking number%d", n), `{"id":"in_%[1]d","part":0,"of":1,"event_id":"ev_%[2]s%[1]d","origin":"fallback"}`
		}
		_, err := site.DB.Exec(t.Context(), `INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, status, timestamp, metadata)
			VALUES ($1, $2, '7001', $2, $3, 'inbound', 'received', $4, $5::jsonb)`, conversation, account, text, at, fmt.Sprintf(`{"event_id":"ev_%s%d"}`, account, n))
		require.NoError(t, err)
		_, err = site.DB.Exec(t.Context(), `INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, status, timestamp, sent_at, metadata)
			VALUES ($1, $2, $2, '7001', 'an answer', 'outbound', 'sent', $3, $3, $4::jsonb)`, conversation, account, at.Add(800*time.Millisecond), `{"intent":`+fmt.Sprintf(intent, n, account)+`}`)
		require.NoError(t, err)
	}
}

func TestAnalyticsCountsWhatWasSaid(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	wroteADay(t, site, "171", 30, 5)
	wroteADay(t, site, "172", 3, 0)
	counter := rollup.New(site.Store, telemetry.Discard().Log, time.Now)
	// The console counts too: whoever comes second leaves it to the other.
	require.Eventually(t, func() bool {
		require.NoError(t, counter.Count(t.Context()))
		hours, err := site.Store.Hours(t.Context(), store.StatsFilter{Scope: store.All, From: time.Now().Add(-48 * time.Hour), To: time.Now()})
		require.NoError(t, err)
		var total store.Stats
		for i := range hours {
			total.Add(&hours[i])
		}
		return total.Inbound == 38 && total.ByRule == 33 && total.Fallback == 5 && total.ByBot() == 1 &&
			total.Delays.Quantile(.5) >= 800*time.Millisecond && total.Delays.Quantile(.95) <= time.Second
	}, 20*time.Second, 20*time.Millisecond)

	_, body := site.As(store.Viewer).Get("/analytics?days=7")
	require.Contains(t, body, "&lt;b&gt;price&lt;/b&gt;")
	require.NotContains(t, body, "<b>price")
	require.Contains(t, body, "do you have parking number", "what no rule answered is put together")
	require.Contains(t, body, "/rules/new?keywords=parking")
	_, month := site.As(store.Viewer).Get("/analytics?days=30&account=171")
	for _, address := range []string{`src="/analytics/messages.svg?account=171&amp;days=30"`, `srcset="/analytics/who.svg?account=171&amp;days=30&amp;dark=1"`, `href="/analytics.csv?account=171&amp;days=30"`} {
		require.Contains(t, month, address, "charts and the file are of what was chosen")
	}
	for _, chart := range []string{"messages", "who", "wait"} {
		status, svg := site.As(store.Viewer).Get("/analytics/" + chart + ".svg?days=7")
		require.Equal(t, http.StatusOK, status)
		require.True(t, strings.HasPrefix(svg, "<svg"), svg[:min(80, len(svg))])
	}
	status, _ := site.As(store.Viewer).Get("/analytics/other.svg")
	require.Equal(t, http.StatusNotFound, status)

	_, csv := site.As(store.Viewer, "172").Get("/analytics.csv?days=7")
	require.Contains(t, csv, ",3,3,0,0,0,")
	require.Len(t, strings.Split(strings.TrimSpace(csv), "\n"), 2, "who sees one account sees no other's figures")
	_, body = site.As(store.Viewer, "172").Get("/analytics?days=7&account=171")
	require.Contains(t, body, "Nothing was said in this range")
}

func TestAnalyticsInABrowser(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	wroteADay(t, site, "171", 40, 12)
	require.Eventually(t, func() bool {
		require.NoError(t, rollup.New(site.Store, telemetry.Discard().Log, time.Now).Count(t.Context()))
		accounts, err := site.Store.StatsAccounts(t.Context(), store.All)
		require.NoError(t, err)
		return len(accounts) == 1
	}, 20*time.Second, 20*time.Millisecond)
	b := site.As(store.Viewer).Open(webtest.Phone, true)
	b.Go("/analytics")
	require.Equal(t, "Analytics", b.Text("h1"))
	require.False(t, b.Overflows())
	b.Screenshot("analytics-phone")
}
