package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/services/ingress/internal/httpapi"
	"github.com/parley-dm/parley/services/ingress/internal/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret  = config.Secret("app-secret-value")
	token   = config.Secret("verify-token-value")
	account = "17841400000000001"
	message = `{"object":"instagram","entry":[{"id":"` + account + `","time":1762000000500,"messaging":[{"sender":{"id":"7001"},"recipient":{"id":"` + account + `"},"timestamp":1762000000000,"message":{"mid":"M","text":"a very private text"}}]}]}`
)

// memory is an intake that keeps what it takes, or fails.
type memory struct {
	mu    sync.Mutex
	taken []intake.Webhook
	err   error
}

func (m *memory) Take(_ context.Context, w intake.Webhook) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.taken = append(m.taken, w)
	}
	return m.err
}

type bundle struct {
	handler http.Handler
	intake  *memory
	log     *bytes.Buffer
	metrics *prometheus.Registry
}

func setup(tb testing.TB, change ...func(*httpapi.Options)) *bundle {
	tb.Helper()
	b := &bundle{intake: &memory{}, log: &bytes.Buffer{}, metrics: prometheus.NewRegistry()}
	o := httpapi.Options{VerifyToken: token, MaxBodyBytes: 4096}
	for _, f := range change {
		f(&o)
	}
	b.handler = httpapi.New(httpapi.Deps{
		Intake: b.intake, Metrics: b.metrics, Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Secrets: func() []config.Secret { return []config.Secret{"older-secret", secret} },
		Answers: func(_ dm.Channel, id string) bool { return id == account },
	}, o)
	return b
}

// signed makes a webhook's request.
func signed(tb testing.TB, body string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, httpapi.Path, strings.NewReader(body))
	r.Header.Set(webhook.SignatureHeader, webhook.Sign([]byte(body), secret))
	return r
}

func (b *bundle) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// requireProblem checks an answer that refuses.
func requireProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var body map[string]string
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Len(t, body, 4)
	require.Equal(t, code, body["error"])
	require.NotEmpty(t, body["message"])
	require.Equal(t, w.Header().Get("X-Request-ID"), body["request_id"])
	require.NotEmpty(t, body["request_id"])
	at, err := time.Parse(time.RFC3339Nano, body["timestamp"])
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query  string
		status int
		code   string
	}{
		"right":           {"hub.mode=subscribe&hub.verify_token=verify-token-value&hub.challenge=%3Cb%3E1158201444", 200, ""},
		"wrong token":     {"hub.mode=subscribe&hub.verify_token=other&hub.challenge=1", 403, "wrong_token"},
		"token's start":   {"hub.mode=subscribe&hub.verify_token=verify&hub.challenge=1", 403, "wrong_token"},
		"wrong mode":      {"hub.mode=unsubscribe&hub.verify_token=verify-token-value&hub.challenge=1", 403, "wrong_token"},
		"no challenge":    {"hub.mode=subscribe&hub.verify_token=verify-token-value", 400, "missing_parameter"},
		"no token":        {"hub.mode=subscribe&hub.challenge=1", 400, "missing_parameter"},
		"empty mode":      {"hub.mode=&hub.verify_token=verify-token-value&hub.challenge=1", 400, "missing_parameter"},
		"nothing":         {"", 400, "missing_parameter"},
		"broken encoding": {"hub.mode=%zz&hub.verify_token=verify-token-value&hub.challenge=1", 400, "missing_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := b.do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, httpapi.Path+"?"+c.query, http.NoBody))
			if c.status != 200 {
				requireProblem(t, w, c.status, c.code)
				require.NotContains(t, b.log.String(), token.Reveal())
				return
			}
			require.Equal(t, 200, w.Code)
			require.Equal(t, "<b>1158201444", w.Body.String(), "the bare challenge")
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			require.NotEmpty(t, w.Header().Get("X-Request-ID"))
		})
	}
}

func TestWebhookIsTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := signed(t, message)
	r.Header.Set("X-Request-ID", "meta-7.of_9")
	w := b.do(r)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "meta-7.of_9", w.Header().Get("X-Request-ID"))
	require.Len(t, b.intake.taken, 1)
	taken := b.intake.taken[0]
	require.Equal(t, "meta-7.of_9", taken.Request)
	require.True(t, bytes.Equal([]byte(message), taken.Raw), "the body as it came, byte by byte")
	require.Len(t, taken.Events, 1)
	require.Equal(t, "a very private text", taken.Events[0].Text)
	require.True(t, taken.Events[0].KnownAccount)
	require.WithinDuration(t, time.Now(), taken.Events[0].ReceivedAt, time.Minute)
	require.NotContains(t, b.log.String(), "private", "no text in logs, not even at DEBUG")
}

func TestAcknowledgedBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		events int
	}{
		"foreign object":    {`{"object":"page","entry":[{"id":"1"},{"id":"2"}]}`, 2},
		"empty entry":       {`{"object":"instagram","entry":[]}`, 0},
		"no entry":          {`{"object":"instagram"}`, 0},
		"not understood":    {`{"object":"instagram","entry":[{"id":"1","messaging":[{"what":1}]}]}`, 1},
		"one broken of two": {`{"object":"instagram","entry":[{"id":"1","messaging":["x",{"sender":{"id":"2"},"message":{"mid":"M","text":"t"}}]}]}`, 2},
		"dashboard's test":  {`{"object":"instagram","entry":[{"id":"0","time":1527459824,"changes":[{"field":"messages","value":{"sender":{"id":"12334"},"recipient":{"id":"23245"},"timestamp":"1527459824","message":{"mid":"random_mid","text":"random_text"}}}]}]}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			require.Equal(t, 200, b.do(signed(t, c.body)).Code)
			require.Len(t, b.intake.taken, 1)
			require.Len(t, b.intake.taken[0].Events, c.events)
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	large := `{"object":"` + strings.Repeat("x", 5000) + `"}`
	body := func(s string) func(*http.Request) {
		return func(r *http.Request) { *r = *signed(t, s) }
	}
	at := func(method, path string) func(*http.Request) {
		return func(r *http.Request) { r.Method, r.URL.Path = method, path }
	}
	signature := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del(webhook.SignatureHeader)
			r.Header.Set(name, value)
		}
	}
	for name, c := range map[string]struct {
		change func(r *http.Request)
		status int
		code   string
	}{
		"no signature":           {signature("X-Other", "1"), 401, "invalid_signature"},
		"only the old signature": {signature("X-Hub-Signature", "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"), 401, "invalid_signature"},
		"signed by another":      {signature(webhook.SignatureHeader, webhook.Sign([]byte(message), "another")), 401, "invalid_signature"},
		"one byte changed": {func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(message, "private", "privatE", 1)))
		}, 401, "invalid_signature"},
		"not JSON and not signed": {func(r *http.Request) {
			body("private")(r)
			r.Header.Del(webhook.SignatureHeader)
		}, 401, "invalid_signature"},
		"not JSON":    {body("private"), 400, "invalid_body"},
		"empty":       {body(""), 400, "invalid_body"},
		"a list":      {body("[" + message + "]"), 400, "invalid_body"},
		"two objects": {body(message + message), 400, "invalid_body"},
		"no object":   {body(`{"entry":[]}`), 400, "missing_object"},
		"too large":   {body(large), 413, "body_too_large"},
		"grows too large": {func(r *http.Request) {
			body(large)(r)
			r.ContentLength = -1
		}, 413, "body_too_large"},
		"PUT":         {at(http.MethodPut, httpapi.Path), 405, "method_not_allowed"},
		"POST health": {at(http.MethodPost, "/health"), 405, "method_not_allowed"},
		"elsewhere":   {at(http.MethodPost, "/"), 404, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := signed(t, message)
			c.change(r)
			w := b.do(r)
			requireProblem(t, w, c.status, c.code)
			require.Empty(t, b.intake.taken)
			require.NotContains(t, b.log.String()+w.Body.String(), "private", "neither the log nor the answer repeats the body")
			switch c.status {
			case 401:
				require.Contains(t, b.log.String(), "webhook.signature_refused")
				require.Contains(t, b.log.String(), "client=192.0.2.1")
			case 405:
				require.NotEmpty(t, w.Header().Get("Allow"))
			}
		})
	}
}

func TestLargeBodyIsNotReadOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, length := range []int64{1 << 30, -1} {
		body := &counting{}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, httpapi.Path, body)
		r.ContentLength = length
		requireProblem(t, b.do(r), 413, "body_too_large")
		require.Less(t, body.read, 16<<10)
	}
}

// counting is a body without an end.
type counting struct{ read int }

func (c *counting) Read(p []byte) (int, error) {
	c.read += len(p)
	return len(p), nil
}

func TestNoDurablePlace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.intake.err = fmt.Errorf("%w: away", intake.ErrUnavailable)
	w := b.do(signed(t, message))
	requireProblem(t, w, 503, "unavailable")
	require.Contains(t, b.log.String(), "webhook.not_durable")
	require.NotContains(t, b.log.String(), "private")
}

type panicking struct{}

func (panicking) Take(context.Context, intake.Webhook) error { panic("a bug") }

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := httpapi.New(httpapi.Deps{
		Intake: panicking{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&log, nil)),
		Secrets: func() []config.Secret { return []config.Secret{secret} },
	}, httpapi.Options{VerifyToken: token, MaxBodyBytes: 4096})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, signed(t, message))
	requireProblem(t, w, 500, "internal")
	require.Contains(t, log.String(), "http.panic")
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range []string{"", "with space", "new\nline", `"quoted"`, strings.Repeat("x", 129), "ünïcode"} {
		r := signed(t, message)
		r.Header["X-Request-Id"] = []string{bad}
		id := b.do(r).Header().Get("X-Request-ID")
		require.NotEqual(t, bad, id)
		require.Len(t, id, 26)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := setup(t).do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", http.NoBody))
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"status":"ok"}`, w.Body.String())
	require.NotEmpty(t, w.Header().Get("X-Request-ID"))
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *httpapi.Options) {
		o.RatePerIP = 5
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	// burst sends more than two windows allow and counts what was let through.
	burst := func(remote, forwarded string) (passed int) {
		for range 20 {
			r := signed(t, message)
			r.RemoteAddr = remote
			if forwarded != "" {
				r.Header.Set("X-Forwarded-For", forwarded)
			}
			w := b.do(r)
			if w.Code == 200 {
				passed++
				continue
			}
			requireProblem(t, w, 429, "rate_limited")
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		return passed
	}
	require.LessOrEqual(t, burst("192.0.2.1:1", ""), 10)
	require.Positive(t, burst("192.0.2.2:1", ""), "others are not refused for it")
	require.Positive(t, burst("10.0.0.1:1", "198.51.100.1"), "behind our proxy each client counts for itself")
	require.Positive(t, burst("10.0.0.1:1", "198.51.100.2"))
	require.Positive(t, burst("[2001:db8:1:1::1]:1", ""))
	spoofed := 0
	for i := range 20 {
		r := signed(t, message)
		r.RemoteAddr = "192.0.2.9:1"
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
		if b.do(r).Code == 200 {
			spoofed++
		}
	}
	require.LessOrEqual(t, spoofed, 10, "a client that is no proxy of ours cannot choose its address")
	w := b.do(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", http.NoBody))
	require.Equal(t, 200, w.Code, "the platform's probe is not limited")
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do(signed(t, message))
	b.do(signed(t, "x"))
	b.do(httptest.NewRequestWithContext(t.Context(), http.MethodPost, httpapi.Path, http.NoBody))
	require.NoError(t, testutil.GatherAndCompare(b.metrics, strings.NewReader(`
# HELP ingress_webhooks_total Webhooks, by the HTTP status that they were answered with.
# TYPE ingress_webhooks_total counter
ingress_webhooks_total{status="200"} 1
ingress_webhooks_total{status="400"} 1
ingress_webhooks_total{status="401"} 1
`), "ingress_webhooks_total"))
}

func BenchmarkWebhook(b *testing.B) {
	s := setup(b)
	s.handler = httpapi.New(httpapi.Deps{
		Intake: nowhere{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Secrets: func() []config.Secret { return []config.Secret{secret} }, Answers: func(dm.Channel, string) bool { return true },
	}, httpapi.Options{VerifyToken: token, MaxBodyBytes: 8 << 20})
	signature := webhook.Sign([]byte(message), secret)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, httpapi.Path, strings.NewReader(message))
		r.Header.Set(webhook.SignatureHeader, signature)
		if w := s.do(r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

type nowhere struct{}

func (nowhere) Take(context.Context, intake.Webhook) error { return nil }
