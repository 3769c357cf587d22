package alert_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type testBundle struct {
	log     logtest.Buffer
	metrics *prometheus.Registry
	now     time.Time
	alerts  *alert.Alerts
	stop    func()
}

func setup(t *testing.T, s alert.Settings) *testBundle {
	t.Helper()
	b := &testBundle{metrics: prometheus.NewRegistry(), now: time.Unix(1_800_000_000, 0)}
	var err error
	b.alerts, err = alert.New(s, alert.Options{Service: "sender", Log: slog.New(slog.NewJSONHandler(&b.log, nil)), Metrics: b.metrics, Now: func() time.Time { return b.now }})
	require.NoError(t, err)
	return b
}

func (b *testBundle) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.alerts.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(b.stop)
}

func (b *testBundle) counted(t *testing.T, name, label, value string) float64 {
	t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func dead(account string) alert.Alert {
	return alert.Alert{Kind: alert.AccountPaused, Account: account, Summary: "the token is dead", WhatToDo: "get another one"}
}

func TestAnAlertIsPostedSignedAndOnce(t *testing.T) {
	t.Parallel()
	got := make(chan alert.Alert, 10)
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("s3cret"))
		_, _ = mac.Write(body)
		if r.Header.Get(alert.Signature) != "sha256="+hex.EncodeToString(mac.Sum(nil)) || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if first { // it is tried again
			first = false
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var one alert.Alert
		_ = json.Unmarshal(body, &one)
		got <- one
	}))
	defer server.Close()
	b := setup(t, alert.Settings{URL: config.Secret(server.URL), Secret: "s3cret"})
	b.run(t)
	b.alerts.Raise(dead("1"))
	b.alerts.Raise(dead("1"))
	want := dead("1")
	want.Service, want.At = "sender", b.now.UTC()
	require.Equal(t, want, <-got)
	b.alerts.Raise(dead("2"))
	require.Equal(t, "2", (<-got).Account)
	b.alerts.Over(alert.AccountPaused, "1", "")
	b.alerts.Raise(dead("1"))
	require.Equal(t, "1", (<-got).Account)
	b.stop()
	require.Empty(t, got)
	require.InDelta(t, 3, b.counted(t, "parley_alerts_total", "kind", "account_paused"), 0)
	require.InDelta(t, 3, b.counted(t, "parley_alert_posts_total", "result", "posted"), 0)
}

func TestTheSameAgainIsToldAnHourLater(t *testing.T) {
	t.Parallel()
	b := setup(t, alert.Settings{})
	for range 5 {
		b.alerts.Raise(dead("1"))
	}
	b.now = b.now.Add(time.Hour)
	b.alerts.Raise(dead("1"))
	require.InDelta(t, 2, b.counted(t, "parley_alerts_total", "kind", "account_paused"), 0)
	require.Contains(t, b.log.String(), `"level":"ERROR"`)
	require.Contains(t, b.log.String(), `"what_to_do":"get another one"`)
}

// Whatever is wrong with the other side, raising does not wait for it, and the log has the alert but not the address.
func TestRaisingNeverBlocks(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hold)
	b := setup(t, alert.Settings{URL: config.Secret(server.URL + "/token-in-path")})
	for n := range 1000 {
		b.alerts.Raise(dead(fmt.Sprint(n)))
	}
	require.InDelta(t, 1000-256, b.counted(t, "parley_alert_posts_total", "result", "dropped"), 0)
	require.InDelta(t, 1000, b.counted(t, "parley_alerts_total", "kind", "account_paused"), 0)
	var none *alert.Alerts
	none.Raise(dead("1"))
	require.NotContains(t, b.log.String(), "token-in-path")
}

func TestAnAddressThatRefusesIsToldInTheLog(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	defer server.Close()
	b := setup(t, alert.Settings{URL: config.Secret(server.URL + "/token-in-path")})
	b.run(t)
	b.alerts.Raise(dead("1"))
	require.Eventually(t, func() bool { return b.counted(t, "parley_alert_posts_total", "result", "failed") == 1 }, 10*time.Second, time.Millisecond)
	b.stop()
	require.Contains(t, b.log.String(), "ALERT_URL answered 404")
	require.NotContains(t, b.log.String(), "token-in-path")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	require.NoError(t, alert.Settings{}.Validate())
	require.NoError(t, alert.Settings{URL: "https://hooks.example.com/x", Secret: "s"}.Validate())
	require.ErrorContains(t, alert.Settings{Secret: "s"}.Validate(), "ALERT_SECRET:")
	err := alert.Settings{URL: "hooks.example.com/token-in-path"}.Validate()
	require.ErrorContains(t, err, "ALERT_URL:")
	require.NotContains(t, err.Error(), "token-in-path")
}
