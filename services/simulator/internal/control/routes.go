package control

import (
	"net/http"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/shape"
)

// Route is one endpoint, as the page /api tells of it.
type Route struct {
	Method  string
	Path    string
	Summary string
	// Query and Body name what may be given, with what it means.
	Query, Body []Field
	// Status is what is answered when all is well.
	Status int

	handle http.HandlerFunc
}

// Field is one thing that may be given.
type Field struct {
	Name, Type, Help string
	Required         bool
	Enum             []string
}

// Routes lists the endpoints.
func (a *API) Routes() []Route { return a.routes() }

func (a *API) routes() []Route {
	return append(append(a.actions(), a.records()...), a.settings()...)
}

func text(name, help string) Field   { return Field{Name: name, Type: "string", Help: help} }
func number(name, help string) Field { return Field{Name: name, Type: "number", Help: help} }
func boolean(name, help string) Field {
	return Field{Name: name, Type: "boolean", Help: help}
}

func kinds() []string {
	var out []string
	for _, s := range shape.All() {
		out = append(out, s.Kind)
	}
	return out
}

func (a *API) actions() []Route {
	return []Route{
		{
			Method: http.MethodPost, Path: "/control/message", Status: http.StatusAccepted, handle: a.message,
			Summary: "Something happens: a customer writes, taps, reacts, unsends, comments, or the shop's side acts. Its webhook is sent in the order of the customer's others. Answers with what was recorded; for a comment, content.comment_id takes a private reply.",
			Body: []Field{
				{Name: "kind", Type: "string", Help: "what happens; text if not given", Enum: kinds()},
				text("text", "what is written, tapped or commented, or the emoji of a reaction"), text("customer", "up to 20 digits; a new one if not given"),
				text("account", "the first if not given"), text("url", "of a medium"), text("payload", "of a tap, or the ref of a referral"),
				text("reply_to", "the mid that a text quotes"), text("target", "the mid that is reacted to, edited, unsent or seen"),
				text("expect", "the reply that the verdict waits for; any if not given"), boolean("quiet", "the verdict expects no reply"),
				text("age", "how long ago it happened, such as 25h"), boolean("show", "false leaves the customer's phone closed"),
			},
		},
		{
			Method: http.MethodPost, Path: "/control/raw", Status: http.StatusOK, handle: a.raw,
			Summary: "Posts the body exactly as it is, once, signed with the app secret. Answers with the status that came back.",
			Query:   []Field{text("secret", "signs with another secret")},
		},
		{
			Method: http.MethodPost, Path: "/control/load", Status: http.StatusAccepted, handle: a.startLoad,
			Summary: "Plays many customers and judges what they received; one load at a time. The same as simulator load --simulator.",
			Body: []Field{
				number("customers", "how many write"), number("messages", "how many each writes"), number("rate", "webhooks a second; 0 for as fast as they are taken"),
				text("for", "ends the sending, such as 30s"), text("account", "the one that is written to"), number("accounts", "spreads the customers over so many"),
				{Name: "apart", Type: "array", Help: "accounts that are summed up by themselves"}, {Name: "pairs", Type: "array", Help: "[{say, expect}] in turn"},
				text("settle", "how long nothing may happen before what is missing is lost"), text("linger", "how long to wait for replies too many"),
				number("in_flight", "webhooks that may wait to be accepted"),
			},
		},
		{Method: http.MethodGet, Path: "/control/load", Status: http.StatusOK, handle: a.loadStatus, Summary: "How far the load has come, and its result when it is done."},
		{Method: http.MethodDelete, Path: "/control/load", Status: http.StatusNoContent, handle: a.stopLoad, Summary: "Ends the sending; the verdict is over what was sent."},
	}
}

func (a *API) records() []Route {
	return []Route{
		{
			Method: http.MethodGet, Path: "/control/verdict", Status: http.StatusOK, handle: a.verdict,
			Summary: "Whether every message had exactly one reply, in order; else which are missing, doubled, swapped or wrong, with percentiles of the time from webhook to reply.",
			Query:   []Field{text("account", "only this one; may be repeated"), text("customer", "only ids that begin so"), {Name: "by", Type: "string", Help: "each account by itself, too", Enum: []string{"account"}}},
		},
		{
			Method: http.MethodGet, Path: "/control/ledger", Status: http.StatusOK, handle: a.ledger,
			Summary: "Everything that every customer sent and received.", Query: []Field{text("account", "only this one"), text("customer", "only this one")},
		},
		{Method: http.MethodGet, Path: "/control/totals", Status: http.StatusOK, handle: a.totals, Summary: "How much happened since the start or the last reset, and how many webhooks wait."},
		{Method: http.MethodPost, Path: "/control/reset", Status: http.StatusNoContent, handle: a.reset, Summary: "Forgets every conversation. Faults, tokens, subscriptions and the clock stay."},
		{Method: http.MethodGet, Path: "/control/kinds", Status: http.StatusOK, handle: a.kinds, Summary: "Every kind of item that can be sent, with what it needs."},
	}
}

func (a *API) settings() []Route {
	var faultKinds []string
	for _, k := range fault.Kinds() {
		faultKinds = append(faultKinds, string(k))
	}
	return []Route{
		{Method: http.MethodGet, Path: "/control/fault", Status: http.StatusOK, handle: a.faults, Summary: "The faults that are set, and how often each was met."},
		{
			Method: http.MethodPost, Path: "/control/fault", Status: http.StatusCreated, handle: a.addFault, Summary: "Makes something go wrong from now on.",
			Body: []Field{
				{Name: "kind", Type: "string", Required: true, Help: "what goes wrong", Enum: faultKinds},
				number("rate", "how often, 0 to 1; 1 if not given"), number("count", "how many times at most; 0 for no bound"),
				text("account", "only this one"), text("customer", "only this one"),
				{Name: "endpoint", Type: "string", Help: "where; messages or webhooks if not given", Enum: fault.Endpoints},
				number("code", "of an error or a rate limit"), number("subcode", "of an error or a dead token"), number("status", "HTTP status, 400 to 599"),
				text("message", "of an error"), boolean("transient", "is_transient of an error"), number("delay_ms", "of slow, delay, reorder, batch"),
				number("copies", "of duplicate"), number("size", "of batch, 2 to 1000"), number("percent", "of usage and rate_limit"), number("regain_minutes", "of usage and rate_limit"),
			},
		},
		{Method: http.MethodDelete, Path: "/control/fault", Status: http.StatusNoContent, handle: a.removeFaults, Summary: "Makes everything go right again."},
		{Method: http.MethodDelete, Path: "/control/fault/{id}", Status: http.StatusNoContent, handle: a.removeFaults, Summary: "Ends one fault."},
		{Method: http.MethodGet, Path: "/control/clock", Status: http.StatusOK, handle: a.time, Summary: "Meta's time, and how far it is ahead of the machine's."},
		{
			Method: http.MethodPost, Path: "/control/clock", Status: http.StatusOK, handle: a.moveTime,
			Summary: "Moves Meta's time: windows close, tokens age, usage is forgotten, retries come due. Waits in the verdict are measured by the machine's.",
			Body:    []Field{text("advance", "by how much, such as 25h"), text("ahead", "or: how far ahead of the machine's, 0s for none")},
		},
		{Method: http.MethodGet, Path: "/control/accounts", Status: http.StatusOK, handle: a.accounts, Summary: "The accounts, with the state of their token and of their subscription. Tokens themselves are not told."},
		{
			Method: http.MethodPost, Path: "/control/accounts/{account}/token", Status: http.StatusOK, handle: a.changeToken,
			Summary: "Kills the account's token, or gives it another.",
			Body:    []Field{number("kill", "the subcode of 190 that calls get from now on (463 expired, 460 password changed, 458 app removed, 467 invalid)"), text("token", "the new token; the one before is dead"), text("expires_in", "when it dies, such as 1440h")},
		},
		{
			Method: http.MethodPost, Path: "/control/accounts/{account}/subscription", Status: http.StatusOK, handle: a.changeSubscription,
			Summary: "Subscribes the account's app again, or not.", Body: []Field{boolean("subscribed", "false ends it"), {Name: "fields", Type: "array", Help: "only these; all if not given"}},
		},
	}
}
