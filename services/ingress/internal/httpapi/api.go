// Package httpapi is ingress's public HTTP side: the handshake, the webhook, and a health check for platforms that probe
// the public port.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/httprate"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/ingress/internal/intake"
)

// Path is where Meta sends webhooks.
const Path = "/webhooks/instagram"

// Intake makes a webhook durable; [intake.Intake] does.
type Intake interface {
	Take(ctx context.Context, w intake.Webhook) error
}

// Deps is what the API needs.
type Deps struct {
	Intake Intake
	// Secrets gives the app secrets that are valid now.
	Secrets func() []config.Secret
	// Answers says whether an account is one that is answered for.
	Answers func(channel dm.Channel, account string) bool
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Options says how.
type Options struct {
	VerifyToken  config.Secret
	MaxBodyBytes int64
	// RatePerIP is how many requests a second one address may make; 0 for no limit.
	RatePerIP int
	// TrustedProxies may tell the client's address in X-Forwarded-For.
	TrustedProxies []netip.Prefix
}

type api struct {
	Deps
	Options
	webhooks *prometheus.CounterVec
	seconds  prometheus.Histogram
}

// New makes the handler and registers its metrics.
func New(d Deps, o Options) http.Handler {
	a := &api{
		Deps: d, Options: o,
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingress_webhooks_total", Help: "Webhooks, by the HTTP status that they were answered with.",
		}, []string{"status"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingress_webhook_seconds", Help: "How long a webhook took from its headers to its answer.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2, 5},
		}),
	}
	d.Metrics.MustRegister(a.webhooks, a.seconds)

	r := chi.NewRouter()
	r.Use(a.identify, a.recover)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, problem{http.StatusNotFound, "not_found", "there is nothing at this path; webhooks go to " + Path})
	})
	r.MethodNotAllowed(a.methodNotAllowed)
	r.Get("/health", health)
	r.Head("/health", health)
	r.Group(func(r chi.Router) {
		if o.RatePerIP > 0 {
			r.Use(httprate.LimitBy(o.RatePerIP, time.Second, a.clientKey, httprate.WithLimitHandler(a.tooMany)))
		}
		r.Get(Path, a.handshake)
		r.Post(Path, a.webhook)
	})
	return r
}

func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
}

func (a *api) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	allowed := "GET, POST"
	if r.URL.Path == "/health" {
		allowed = "GET, HEAD"
	}
	w.Header().Set("Allow", allowed)
	a.refuse(w, r, problem{http.StatusMethodNotAllowed, "method_not_allowed", "this path takes " + allowed})
}

func (a *api) tooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	a.refuse(w, r, problem{http.StatusTooManyRequests, "rate_limited", "too many requests from this address; see RATE_LIMIT_PER_IP"})
}
