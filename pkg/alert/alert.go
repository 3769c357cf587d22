// Package alert tells a person that something needs one: as a log line of level ERROR, as a metric, and, with ALERT_URL,
// as a signed POST to whatever wakes people up.
//
// Raising an alert never blocks and never fails. The same alert is told once in a while, not each time. What is told holds
// ids and our own words: no message texts and no secrets.
package alert

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Settings say where alerts are posted to; every service that raises some embeds them.
type Settings struct {
	URL    config.Secret `env:"ALERT_URL" help:"where alerts are posted as JSON (a dead token, a held conversation), beside the log; nowhere without it"`
	Secret config.Secret `env:"ALERT_SECRET" help:"signs the alerts that are posted: X-Parley-Signature-256 is sha256= and the HMAC of the body"`
}

// Validate reports every problem. It does not repeat the URL, which may hold a token.
func (s Settings) Validate() error {
	if s.URL == "" {
		if s.Secret != "" {
			return errors.New("ALERT_SECRET: set, but ALERT_URL is not")
		}
		return nil
	}
	u, err := url.Parse(s.URL.Reveal())
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("ALERT_URL: expected a URL such as https://hooks.example.com/parley")
	}
	return nil
}

// Kind says what an alert is about.
type Kind string

// The kinds of alert.
const (
	// AccountPaused: Meta refuses an account's token, or the account itself.
	AccountPaused Kind = "account_paused"
	// TokenExpires: an account's token dies soon. TokenNotRefreshed: it could not be made to live longer.
	TokenExpires      Kind = "token_expires"
	TokenNotRefreshed Kind = "token_not_refreshed" //nolint:gosec // a name, not a token
	// ConversationHeld: a conversation is left to a person.
	ConversationHeld Kind = "conversation_held"
	// HandOffNotTold: the help desk does not take what is handed off.
	HandOffNotTold Kind = "hand_off_not_told"
	// WebhooksMissed: Meta has messages of an account whose webhooks never came.
	WebhooksMissed Kind = "webhooks_missed"
	// UnknownAccount: customers write to an account that is not answered for.
	UnknownAccount Kind = "unknown_account"
)

// Alert is one thing that needs a person.
type Alert struct {
	Kind Kind `json:"kind"`
	// Service and At are filled in.
	Service string    `json:"service"`
	At      time.Time `json:"at"`
	// Account and Conversation are what it is about, where it is about one.
	Account      string `json:"account,omitempty"`
	Conversation string `json:"conversation,omitempty"`
	// Summary says what happened, WhatToDo what a person can do about it.
	Summary  string `json:"summary"`
	WhatToDo string `json:"what_to_do"`
}

// quiet is how long an alert is not told again. The bounds are of what is remembered for that and of what waits to be posted.
const (
	quiet      = time.Hour
	maxKnown   = 10_000
	maxWaiting = 256
)

// Options says how to alert.
type Options struct {
	Service string
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Transport replaces the poster's own, for tests. Now is the clock; time.Now if nil.
	Transport http.RoundTripper
	Now       func() time.Time
}

// Alerts is where alerts are raised. It is safe for concurrent use; nil raises nothing.
type Alerts struct {
	s       Settings
	o       Options
	waiting chan Alert
	raised  *prometheus.CounterVec
	posts   *prometheus.CounterVec

	mu    sync.Mutex
	known map[topic]time.Time
}

// topic is what makes two alerts the same.
type topic struct {
	kind                  Kind
	account, conversation string
}

// New makes the place where alerts are raised. Those that are posted wait for [Alerts.Run].
func New(s Settings, o Options) (*Alerts, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &Alerts{
		s: s, o: o, waiting: make(chan Alert, maxWaiting), known: map[topic]time.Time{},
		raised: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_alerts_total", Help: "Alerts that were raised, by kind."}, []string{"kind"}),
		posts:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_alert_posts_total", Help: "Alerts for ALERT_URL: posted, failed, dropped because too many waited."}, []string{"result"}),
	}
	for _, c := range []prometheus.Collector{a.raised, a.posts} {
		if err := o.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return a, nil
}

// Raise tells a person. The same kind of alert about the same account or conversation is told once an hour.
func (a *Alerts) Raise(one Alert) {
	if a == nil {
		return
	}
	one.Service, one.At = a.o.Service, a.o.Now().UTC()
	if !a.news(one) {
		return
	}
	a.raised.WithLabelValues(string(one.Kind)).Inc()
	a.o.Log.Error("alert.raised", "kind", string(one.Kind), telemetry.KeyAccount, one.Account, telemetry.KeyConversation, one.Conversation,
		"summary", one.Summary, "what_to_do", one.WhatToDo)
	if a.s.URL == "" {
		return
	}
	select {
	case a.waiting <- one:
	default:
		a.posts.WithLabelValues("dropped").Inc()
	}
}

// Over forgets an alert whose cause has gone: should it come back, that is news.
func (a *Alerts) Over(kind Kind, account, conversation string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, topic{kind, account, conversation})
}

func (a *Alerts) news(one Alert) bool {
	t := topic{one.Kind, one.Account, one.Conversation}
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.known[t]; ok && one.At.Sub(last) < quiet {
		return false
	}
	if len(a.known) >= maxKnown {
		for t, at := range a.known {
			if one.At.Sub(at) >= quiet {
				delete(a.known, t)
			}
		}
		if len(a.known) >= maxKnown { // rather told twice than not at all
			clear(a.known)
		}
	}
	a.known[t] = one.At
	return true
}
