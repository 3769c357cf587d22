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
	began := time.Now().UTC().Add(-24 * time.Hour).Truncate(time.Hour) // within what is counted again and again
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
		hours, err := site.Store.Stats(t.Context(), store.StatsFilter{Scope: store.All, From: time.Now().Add(-48 * time.Hour), To: time.Now()})
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

// The sums of days are those of their hours, also of hours that are counted again.
func TestDaysAreTheSumsOfTheirHours(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	for n, account := range []string{"171", "172"} {
		wroteADay(t, site, account, 150, 20+n)
	}
	last30Days := store.StatsFilter{Scope: store.All, From: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -29), To: time.Now()}
	for _, f := range []store.StatsFilter{last30Days, {Scope: store.Scope{"172"}, From: last30Days.From, To: last30Days.To}} {
		wanted := int64(340 + 1)
		if len(f.Scope) > 0 {
			wanted = 171
		}
		require.Eventually(t, func() bool {
			require.NoError(t, rollup.New(site.Store, telemetry.Discard().Log, time.Now).Count(t.Context()))
			total, busy, _, _ := figures(t, site, f, true)
			return total.Inbound == wanted && sum(busy) == wanted
		}, 20*time.Second, 20*time.Millisecond)
		hourly, hourlyBusy, hourlyRules, hourlyLanguages := figures(t, site, f, false)
		daily, dailyBusy, dailyRules, dailyLanguages := figures(t, site, f, true)
		require.Equal(t, hourly, daily)
		require.Equal(t, hourlyBusy, dailyBusy)
		require.Equal(t, hourlyRules, dailyRules)
		require.Equal(t, hourlyLanguages, dailyLanguages)
		require.NotEmpty(t, dailyRules)
		require.NotEmpty(t, dailyLanguages)
	}
}

// figures reads what was counted of a range, by hours or by days.
func figures(t *testing.T, site *webtest.Site, f store.StatsFilter, daily bool) (total store.Stats, busy store.Busy, rules, languages []store.Named) {
	t.Helper()
	f.Daily = daily
	all, err := site.Store.Stats(t.Context(), f)
	require.NoError(t, err)
	for i := range all {
		total.Add(&all[i])
	}
	busy, err = site.Store.BusyHours(t.Context(), f)
	require.NoError(t, err)
	rules, err = site.Store.TopNamed(t.Context(), f, store.NamedRules, 10)
	require.NoError(t, err)
	languages, err = site.Store.TopNamed(t.Context(), f, store.NamedLanguages, 10)
	require.NoError(t, err)
	return total, busy, rules, languages
}

func sum(busy store.Busy) (n int64) {
	for _, hours := range busy {
		for _, inbound := range hours {
			n += inbound
		}
	}
	return n
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
