// Package graph plays the Graph API: sending, conversations, messages, profiles and tokens, with Meta's validation, limits,
// windows, headers and error bodies.
//
// It plays what Parley uses, for Instagram accounts. What it does not play is answered with Meta's error 100/33. Error
// texts are close to Meta's, but only codes and subcodes are meant to be relied on, as with Meta itself.
package graph

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/subscription"
	"github.com/parley-dm/parley/services/simulator/internal/token"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Echoer sends the echo of a message that was sent.
type Echoer interface {
	Echo(m world.Message) error
}

// Options say how strict the played Graph API is.
type Options struct {
	// Secrets are the app's, which make its own access tokens.
	Secrets []string
	// RequireProof refuses calls without appsecret_proof.
	RequireProof bool
	// StrictRecipients refuses to send to customers that never wrote through the simulator.
	StrictRecipients bool
	// IgnoreWindow sends to anybody at any time.
	IgnoreWindow bool
	// Rate is how many messages a second an account may send; 0 for no limit. Media and look-ups have Meta's own ratio.
	Rate float64
	// Allowance is how many calls an hour an account has, on which the usage headers go by; 0 for no bound.
	Allowance int
	// Delay is how long every send takes.
	Delay time.Duration
	// AppID is told by debug_token.
	AppID string
}

// Deps is what the played Graph API needs.
type Deps struct {
	World         *world.World
	Tokens        *token.Book
	Subscriptions *subscription.Book
	Echoer        Echoer
	Faults        *fault.Set
	Metrics       prometheus.Registerer
	// Link makes a link to a file of the simulator's own; empty while it is reached by nobody.
	Link func(kind, id string) string
}

// API is the played Graph API.
type API struct {
	deps    Deps
	opts    Options
	limits  *limits
	usage   *usage
	private *usage
	calls   *prometheus.CounterVec
	sent    prometheus.Counter
	refused *prometheus.CounterVec

	stop chan struct{}
	once sync.Once
}

// New makes the API.
func New(d Deps, o Options) (*API, error) {
	a := &API{
		deps: d, opts: o, stop: make(chan struct{}), limits: newLimits(o.Rate), usage: newUsage(o.Allowance), private: newUsage(privateReplies),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_simulator_graph_requests_total", Help: "Calls of the played Graph API, by what was called.",
		}, []string{"call"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_simulator_graph_refusals_total", Help: "Calls that the played Graph API refused, by Meta's error code.",
		}, []string{"code"}),
	}
	for _, c := range []prometheus.Collector{a.calls, a.refused} {
		if err := d.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	a.sent = a.calls.WithLabelValues("messages")
	return a, nil
}

// Close ends the delays of calls that wait; they are answered at once.
func (a *API) Close() { a.once.Do(func() { close(a.stop) }) }

// wait is a delay on purpose. It does not end with the caller: what Meta has begun it finishes.
func (a *API) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.stop:
	}
}

// Serves says whether a path belongs to the Graph API: it begins with a version, or with what Meta also takes without one.
func Serves(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if isVersion(first) || isDigits(first) {
		return true
	}
	switch first {
	case "me", "debug_token", "refresh_access_token":
		return true
	default:
		return false
	}
}

func isVersion(s string) bool {
	major, minor, ok := strings.Cut(strings.TrimPrefix(s, "v"), ".")
	return ok && strings.HasPrefix(s, "v") && isDigits(major) && isDigits(minor)
}

func isDigits(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ServeHTTP routes a call. The paths of the Graph API are too alike for patterns: an object's id may stand anywhere.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.Path, "/")
	if first, rest, _ := strings.Cut(path, "/"); isVersion(first) {
		w.Header().Set("Facebook-Api-Version", first)
		path = rest
	}
	node, edge, _ := strings.Cut(path, "/")
	if err := a.route(w, r, node, edge); err != nil {
		a.refused.WithLabelValues(fmt.Sprint(err.Code)).Inc()
		err.write(w)
	}
}

func (a *API) route(w http.ResponseWriter, r *http.Request, node, edge string) *Error {
	switch {
	case edge == "messages" && r.Method == http.MethodPost:
		a.sent.Inc()
		return a.send(w, r, node)
	case edge == "conversations" && r.Method == http.MethodGet:
		a.calls.WithLabelValues("conversations").Inc()
		return a.conversations(w, r, node)
	case edge == "subscribed_apps":
		a.calls.WithLabelValues("subscribed_apps").Inc()
		return a.subscribedApps(w, r, node)
	case edge == "" && node == "debug_token" && r.Method == http.MethodGet:
		a.calls.WithLabelValues("debug_token").Inc()
		return a.debugToken(w, r)
	case edge == "" && node == "refresh_access_token" && r.Method == http.MethodGet:
		a.calls.WithLabelValues("refresh_access_token").Inc()
		return a.refreshToken(w, r)
	case edge == "" && r.Method == http.MethodGet:
		a.calls.WithLabelValues("node").Inc()
		return a.node(w, r, node)
	default:
		return noObject(node)
	}
}

// credentials are what a call shows.
type credentials struct{ token, proof string }

func fromRequest(r *http.Request) credentials {
	var c credentials
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "OAuth")) {
		c.token = strings.TrimSpace(token)
	}
	if r.URL.RawQuery != "" {
		q := r.URL.Query()
		if c.token == "" {
			c.token = q.Get("access_token")
		}
		c.proof = q.Get("appsecret_proof")
	}
	return c
}

// authorize finds the account that a token belongs to and checks the proof.
func (a *API) authorize(c credentials, node string) (world.Account, *Error) {
	if c.token == "" {
		if node == "me" {
			return world.Account{}, &Error{Code: codeMissingForMe, Message: "An active access token must be used to query information about the current user."}
		}
		return world.Account{}, &Error{Code: codeMissingToken, Message: "An access token is required to request this resource."}
	}
	info, ok := a.deps.Tokens.Look(c.token)
	if !ok {
		return world.Account{}, unknownToken()
	}
	account, err := a.deps.World.Account(info.Account)
	if err != nil {
		return account, unknownToken()
	}
	if dead := a.dead(info); dead != nil {
		return account, dead
	}
	switch {
	case c.proof != "" && !a.deps.Tokens.Proves(c.token, c.proof):
		return account, &Error{Code: codeParameter, Type: typeGraphException, Message: "Invalid appsecret_proof provided in the API argument"}
	case c.proof == "" && a.opts.RequireProof:
		return account, &Error{Code: codeParameter, Type: typeGraphException, Message: "API calls from the server require an appsecret_proof argument"}
	}
	return account, nil
}

func unknownToken() *Error {
	return &Error{Status: http.StatusUnauthorized, Code: codeToken, Message: "Invalid OAuth access token - Cannot parse access token"}
}

// dead is how a token is refused that is not good any more, by itself or by a fault; nil while it is.
func (a *API) dead(info token.Info) *Error {
	subcode, dead := a.deps.Faults.DeadToken(info.Account)
	if info.Dead == 0 && !dead {
		return nil
	}
	if info.Dead != 0 {
		subcode = info.Dead
	}
	e := &Error{Code: codeToken, Subcode: subcode}
	switch subcode {
	case 0, token.SubcodeExpired:
		at := info.Expires
		if at.IsZero() {
			at = a.deps.World.Now().Add(-time.Hour)
		}
		e.Subcode = token.SubcodeExpired
		e.Message = "Error validating access token: Session has expired on " + at.UTC().Format("Monday, 02-Jan-06 15:04:05 MST") + "."
	case 458:
		e.Message = "Error validating access token: The user has not authorized application " + a.opts.AppID + "."
	case 460:
		e.Message = "Error validating access token: The session has been invalidated because the user changed their password or Facebook has changed the session for security reasons."
	default:
		e.Message = "Error validating access token: The session is invalid."
	}
	return e
}

// own checks that a node is the account that the token belongs to.
func own(account world.Account, node string) *Error {
	if node != "me" && node != account.ID {
		return noObject(node)
	}
	return nil
}
