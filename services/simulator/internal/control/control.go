// Package control is the simulator's own API under /control: what the phone page does by hand, done by scripts and tests,
// and the ledger, the verdict, faults and load.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/answer"
	"github.com/parley-dm/parley/services/simulator/internal/clock"
	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/load"
	"github.com/parley-dm/parley/services/simulator/internal/play"
	"github.com/parley-dm/parley/services/simulator/internal/subscription"
	"github.com/parley-dm/parley/services/simulator/internal/token"
	"github.com/parley-dm/parley/services/simulator/internal/verdict"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Deps is what the API steers.
type Deps struct {
	World    *world.World
	Player   *play.Player
	Webhooks *webhooks.Sender
	Faults   *fault.Set
	Loads    *load.Keeper
	Clock    *clock.Clock
	Tokens   *token.Book

	Subscriptions *subscription.Book
}

// API is the handler of /control.
type API struct {
	deps Deps
	mux  *http.ServeMux
}

// New makes the API.
func New(d Deps) *API {
	a := &API{deps: d, mux: http.NewServeMux()}
	for _, r := range a.routes() {
		a.mux.HandleFunc(r.Method+" "+r.Path, r.handle)
	}
	return a
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// messageRequest is something that a customer does. Without an account it is the first one, without a customer a new one.
type messageRequest struct {
	Account  string     `json:"account"`
	Customer string     `json:"customer"`
	Kind     world.Kind `json:"kind"`
	Text     string     `json:"text"`
	URL      string     `json:"url"`
	Payload  string     `json:"payload"`
	ReplyTo  string     `json:"reply_to"`
	Target   string     `json:"target"`
	Expect   string     `json:"expect"`
	// Quiet says that no reply shall come.
	Quiet bool `json:"quiet"`
	// Age such as "25h" moves it into the past.
	Age string `json:"age"`
	// Show false leaves the customer's phone closed.
	Show *bool `json:"show"`
}

func (a *API) message(w http.ResponseWriter, r *http.Request) {
	var req messageRequest
	if err := answer.Read(w, r, &req); err != nil {
		answer.Error(w, err)
		return
	}
	account, err := a.deps.World.Account(req.Account)
	if err != nil {
		answer.Error(w, err)
		return
	}
	if req.Customer == "" {
		req.Customer, _ = a.deps.World.NewCustomer()
	}
	action := play.Action{
		Key: world.Key{Account: account.ID, Customer: req.Customer}, Kind: req.Kind, Text: req.Text, URL: req.URL, Payload: req.Payload,
		ReplyTo: req.ReplyTo, Target: req.Target, Expect: req.Expect, Quiet: req.Quiet, Show: req.Show == nil || *req.Show,
	}
	if req.Age != "" {
		if action.Age, err = time.ParseDuration(req.Age); err != nil {
			answer.Error(w, fmt.Errorf("%w: age: got %q, expected a duration such as 25h", play.ErrAction, req.Age))
			return
		}
	}
	m, err := a.deps.Player.Say(action)
	if err != nil {
		answer.Error(w, err)
		return
	}
	answer.JSON(w, http.StatusAccepted, m)
}

// rawResult says how a webhook was answered.
type rawResult struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// raw signs the body as it is, with the app secret or the one in ?secret=, and posts it once.
func (a *API) raw(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, answer.MaxRaw))
	if err != nil {
		answer.Error(w, err)
		return
	}
	status, err := a.deps.Player.Raw(r.URL.Query().Get("secret"), body)
	result := rawResult{Status: status}
	if err != nil {
		result.Error = err.Error()
	}
	answer.JSON(w, http.StatusOK, result)
}

// ledger streams every conversation, or those of ?account= and ?customer=.
func (a *API) ledger(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	_, _ = io.WriteString(w, `{"conversations":[`)
	first := true
	for _, k := range a.deps.World.Keys(q.Get("account")) {
		if c := q.Get("customer"); c != "" && c != k.Customer {
			continue
		}
		h, ok := a.deps.World.History(k)
		if !ok {
			continue // reset meanwhile
		}
		if !first {
			_, _ = io.WriteString(w, ",")
		}
		first = false
		if enc.Encode(h) != nil {
			return // the reader has gone
		}
	}
	_, _ = io.WriteString(w, "]}\n")
}

// verdictResult is the whole, and with ?by=account each account by itself.
type verdictResult struct {
	load.Summary
	Accounts []load.AccountSummary `json:"accounts,omitempty"`
}

// verdict judges everything so far, or ?account= (may be repeated) and the customers whose id begins with ?customer=.
func (a *API) verdict(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	records := a.deps.World.Record(world.Scope{Prefix: q.Get("customer"), Accounts: q["account"]})
	out := verdictResult{Summary: load.Report(verdict.Judge(records))}
	if q.Get("by") == "account" {
		out.Accounts = load.ByAccount(a.deps.World, records)
	}
	answer.JSON(w, http.StatusOK, out)
}

func (a *API) totals(w http.ResponseWriter, _ *http.Request) {
	answer.JSON(w, http.StatusOK, struct {
		world.Totals
		Waiting int `json:"waiting"`
	}{a.deps.World.Totals(), a.deps.Webhooks.Waiting()})
}

func (a *API) reset(w http.ResponseWriter, _ *http.Request) {
	a.deps.World.Reset()
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) faults(w http.ResponseWriter, _ *http.Request) {
	answer.JSON(w, http.StatusOK, map[string]any{"faults": a.deps.Faults.List()})
}

func (a *API) addFault(w http.ResponseWriter, r *http.Request) {
	var f fault.Fault
	if err := answer.Read(w, r, &f); err != nil {
		answer.Error(w, err)
		return
	}
	f, err := a.deps.Faults.Add(f)
	if err != nil {
		answer.Error(w, err)
		return
	}
	answer.JSON(w, http.StatusCreated, f)
}

func (a *API) removeFaults(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if a.deps.Faults.Remove(id) == 0 && id != "" {
		answer.Error(w, fmt.Errorf("fault %q: %w", id, world.ErrUnknown))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) loadStatus(w http.ResponseWriter, _ *http.Request) {
	status, ok := a.deps.Loads.Status()
	if !ok {
		answer.Error(w, fmt.Errorf("load: %w", errors.Join(world.ErrUnknown, errors.New("none was started"))))
		return
	}
	answer.JSON(w, http.StatusOK, status)
}

func (a *API) startLoad(w http.ResponseWriter, r *http.Request) {
	var o load.Options
	if err := answer.Read(w, r, &o); err != nil {
		answer.Error(w, err)
		return
	}
	if err := a.deps.Loads.Start(o); err != nil {
		answer.Error(w, err)
		return
	}
	status, _ := a.deps.Loads.Status()
	answer.JSON(w, http.StatusAccepted, status)
}

func (a *API) stopLoad(w http.ResponseWriter, _ *http.Request) {
	a.deps.Loads.Stop()
	w.WriteHeader(http.StatusNoContent)
}
