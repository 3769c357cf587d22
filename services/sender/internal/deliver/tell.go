package deliver

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// told writes the one line that says what came of an attempt. It holds neither the text nor the token.
func (v *Deliverer) told(ctx context.Context, m *message, e ledger.Entry, class string, err error) {
	level := slog.LevelInfo
	switch e.State {
	case ledger.Unknown:
		level = slog.LevelError
	case ledger.Failed, ledger.Expired, ledger.Open, ledger.InDoubt:
		level = slog.LevelWarn
	case ledger.Claimed, ledger.Sent, ledger.Held:
	}
	var g *graph.Error
	alert := errors.As(err, &g) && g.Alert && e.State == ledger.Failed
	if alert {
		level = slog.LevelError // a person should look
	}
	if !v.d.Log.Enabled(ctx, level) {
		return
	}
	attrs := m.attrs(e, class)
	if alert {
		attrs = append(attrs, slog.Bool("alert", true))
	}
	if stop := stopOf(e); stop != "" {
		attrs = append(attrs, slog.String("stop", string(stop)))
	}
	if g != nil {
		attrs = append(attrs, slog.Int("status", g.Status), slog.Int("code", g.Code), slog.Int("subcode", g.Subcode), slog.String("fbtrace_id", g.TraceID))
	}
	v.d.Log.LogAttrs(ctx, level, "delivery.attempted", attrs...)
}

// attrs are the facts of a message.
func (m *message) attrs(e ledger.Entry, class string) []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String(telemetry.KeyAccount, m.intent.Account),
		slog.String(telemetry.KeyConversation, m.intent.Conversation.String()),
		slog.String(telemetry.KeyIntent, m.intent.ID),
		slog.Int("part", m.n),
		slog.Int(telemetry.KeyAttempt, len(e.Attempts)),
		slog.String(telemetry.KeyOutcome, string(e.State)),
	)
	if n := len(e.Attempts); n > 0 {
		attrs = append(attrs, slog.Int64(telemetry.KeyDuration, e.Attempts[n-1].DurationMS))
	}
	if class != "" {
		attrs = append(attrs, slog.String("class", class))
	}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	return attrs
}

// metrics carry no ids: an installation may have a hundred thousand accounts.
type metrics struct {
	sends     *prometheus.CounterVec
	durations prometheus.Histogram
	claims    *prometheus.CounterVec
	waits     *prometheus.CounterVec
	pauses    *prometheus.CounterVec
	shown     *prometheus.CounterVec
	// reconciled counts what came of messages in doubt; those that are given up are sends that end as unknown.
	reconciled *prometheus.CounterVec
	// The two that count on every message, looked up once.
	claimed   prometheus.Counter
	ok        prometheus.Counter
	rateWaits prometheus.Counter
}

func newMetrics(r prometheus.Registerer, gate *limit.Gate) (*metrics, error) {
	m := &metrics{
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_sends_total", Help: "Calls of the Send API, by what they made of the message and by class of error.",
		}, []string{"outcome", "class"}),
		durations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_send_duration_seconds", Help: "How long calls of the Send API took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_ledger_claims_total", Help: "Claims in the ledger: claimed, settled already, in_doubt, failed.",
		}, []string{"result"}),
		waits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_send_waits_total", Help: "Times that a message had to wait: rate, paused, breaker.",
		}, []string{"reason"}),
		pauses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_send_pauses_total", Help: "Pauses of accounts and apps, by class of the error that began them.",
		}, []string{"scope", "class"}),
		shown: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_send_actions_total", Help: "Typing and seen, by how it went: shown, failed, skipped.",
		}, []string{"result"}),
		reconciled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_sends_reconciled_total", Help: "Messages that may have been sent and whose fate was found out: by echo, by conversation, or by nature where twice is as good as once.",
		}, []string{"outcome", "by"}),
	}
	m.claimed, m.ok, m.rateWaits = m.claims.WithLabelValues("claimed"), m.sends.WithLabelValues(string(ledger.Sent), "ok"), m.waits.WithLabelValues("rate")
	paused := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "parley_send_paused", Help: "Accounts and apps that are paused now.",
	}, func() float64 { return float64(gate.Size()) })
	var errs []error
	for _, c := range []prometheus.Collector{m.sends, m.durations, m.claims, m.waits, m.pauses, m.shown, m.reconciled, paused} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) sent(outcome, class string, took time.Duration) {
	m.durations.Observe(took.Seconds())
	if class == "ok" {
		m.ok.Inc()
		return
	}
	m.sends.WithLabelValues(outcome, class).Inc()
}
