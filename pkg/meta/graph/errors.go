package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is a call that did not succeed: what Meta said, or what the network did, and the rule that applies.
type Error struct {
	// Status is the HTTP status; 0 when there was no answer. It is unreliable: Class is what counts.
	Status int
	// Code and Subcode, Type, Message and TraceID (fbtrace_id) are Meta's; zero when the answer held no error of the API.
	Code, Subcode int
	Type, Message string
	// UserTitle and UserMessage are Meta's words for people, where it has some.
	UserTitle, UserMessage string
	IsTransient            bool
	TraceID                string
	// RetryAfter is how long the headers ask to wait; 0 when they do not.
	RetryAfter time.Duration
	Usage      Usage
	// Rule is the row of the table that applies, with the class and the reaction.
	Rule
	// Unreachable: the request cannot have arrived, so the failure says nothing of the message.
	Unreachable bool
	// Err is the network's error, when there was no answer.
	Err error
}

// Error is one line for an operator. It holds neither URL nor token nor message text.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Err != nil && e.Class == ClassUnknown:
		fmt.Fprintf(&b, "the connection to the Graph API was lost after the request was written: %v", e.Err)
	case e.Err != nil:
		fmt.Fprintf(&b, "the Graph API cannot be reached: %v", e.Err)
	case e.Code != 0 && e.Subcode != 0:
		fmt.Fprintf(&b, "Graph API error %d/%d (HTTP %d)", e.Code, e.Subcode, e.Status)
	case e.Code != 0:
		fmt.Fprintf(&b, "Graph API error %d (HTTP %d)", e.Code, e.Status)
	default:
		fmt.Fprintf(&b, "the Graph API answered HTTP %d", e.Status)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Meaning != "" && e.Err == nil {
		b.WriteString(" [" + e.Meaning + "]")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Wait is how long whatever the rule's scope names has to wait before the next call: what the headers say, else the
// rule's own pause.
func (e *Error) Wait() time.Duration {
	if e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return e.Pause
}

// ClassOf is the class of any error that a call of this package returned; [ClassPermanent] for a call that was never made.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassPermanent
}

// errorBody is the Graph API's error.
type errorBody struct {
	Message     string `json:"message"`
	Type        string `json:"type"`
	Code        number `json:"code"`
	Subcode     number `json:"error_subcode"`
	IsTransient bool   `json:"is_transient"`
	UserTitle   string `json:"error_user_title"`
	UserMessage string `json:"error_user_msg"`
	TraceID     string `json:"fbtrace_id"`
}

// number is a code that may come as a number or as a string of digits.
type number int

// UnmarshalJSON takes an integer or a string with one. Anything else counts as no code: the rest of the error is worth
// more than being strict with it.
func (n *number) UnmarshalJSON(b []byte) error {
	if i, err := strconv.Atoi(strings.Trim(string(b), `"`)); err == nil {
		*n = number(i)
	}
	return nil
}

// maxWords bounds what is kept of Meta's words.
const maxWords = 500

// newError makes an error of an answer that is not a success.
func newError(a answer, body *errorBody) *Error {
	e := &Error{Status: a.status, RetryAfter: retryAfter(a.header, time.Now()), Usage: parseUsage(a.header)}
	e.RetryAfter = max(e.RetryAfter, e.Usage.Regain)
	if body != nil {
		e.Code, e.Subcode, e.IsTransient = int(body.Code), int(body.Subcode), body.IsTransient
		e.Type, e.TraceID = shorten(body.Type), shorten(body.TraceID)
		e.Message, e.UserTitle, e.UserMessage = shorten(body.Message), shorten(body.UserTitle), shorten(body.UserMessage)
	}
	e.Rule = Classify(e.Status, e.Code, e.Subcode, e.IsTransient)
	if e.Code == 100 && e.Subcode == 0 && strings.Contains(e.Message, "appsecret_proof") {
		// Meta gives it the code of any invalid parameter, but it is the app's secret that is wrong, for every message.
		e.Rule = Rule{Code: e.Code, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the app secret does not belong to the token's app"}
	}
	return e
}

func shorten(s string) string {
	s = clean(s)
	if len(s) <= maxWords {
		return s
	}
	end, _ := cutRune(s, maxWords)
	return s[:end] + "…"
}

// connectionError makes an error of a call that got no whole answer.
func connectionError(ctx context.Context, err error, mayHaveArrived bool) *Error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if mayHaveArrived {
		return &Error{Err: err, Rule: Rule{Class: ClassUnknown, Meaning: "it may have been sent"}}
	}
	return &Error{Err: err, Unreachable: true, Rule: Rule{Class: ClassTransient, Meaning: "it was not sent"}}
}

// byStatus is the rule for an error without a code that the table knows.
func byStatus(status int, hasCode bool) Rule {
	switch {
	case status == http.StatusTooManyRequests:
		return Rule{Class: ClassRateLimited, Scope: ScopeAccount, Pause: time.Minute, Meaning: "too many requests"}
	case status == http.StatusUnauthorized:
		return Rule{Class: ClassTokenDead, Scope: ScopeAccount, Alert: true, Pause: tokenPause, Meaning: "the token was not accepted"}
	case !hasCode && (status == http.StatusBadGateway || status == http.StatusGatewayTimeout):
		// Not Meta's application speaks, but a gateway that lost it after it had passed the request on.
		return Rule{Class: ClassUnknown, Meaning: "a gateway lost the answer; it may have been sent"}
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		return Rule{Class: ClassTransient, Meaning: "a failure on Meta's side"}
	case status >= 300 && status <= 399:
		// Nothing of Meta's redirects these calls: the address is wrong, and no message should be lost for that.
		return Rule{Class: ClassAccountBlocked, Scope: ScopeAccount, Alert: true, Pause: tokenPause, Meaning: "redirected: is GRAPH_API_URL right?"}
	case status >= 200 && status <= 299 && !hasCode:
		return Rule{Class: ClassUnknown, Meaning: "the answer cannot be understood; it may have been sent"}
	default:
		return Rule{Class: ClassPermanent, Meaning: "refused"}
	}
}
