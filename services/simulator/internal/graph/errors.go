package graph

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
)

// Error is how the Graph API refuses. The zero Type is OAuthException, the zero Status 400.
type Error struct {
	Status    int
	Message   string
	Type      string
	Code      int
	Subcode   int
	Transient bool
	UserTitle string
	UserMsg   string
	// Garbage answers with a page instead of an error, as proxies do.
	Garbage bool
}

const garbage = "<!DOCTYPE html><html><body><h1>Sorry, something went wrong.</h1></body></html>"

func (e *Error) Error() string { return fmt.Sprintf("%d/%d: %s", e.Code, e.Subcode, e.Message) }

// The codes that the simulator answers with of itself; fault.Fault gives any other.
const (
	codePermission     = 10
	codeParameter      = 100
	codeMissingToken   = 104
	codeToken          = 190
	codeRate           = 613
	codeThrottled      = 80006
	codeMissingForMe   = 2500
	codeGone           = 9000001
	subcodeWindow      = 2534022
	subcodeNoSuchUser  = 2534014
	subcodeNoObject    = 33
	subcodeSendRate    = 2534040
	subcodeNoComment   = 2534025
	subcodeOtherApp    = 2534037
	subcodeThrottled   = 2446079
	subcodeBadData     = 2534015
	subcodeSentAnyway  = 1357046
	typeGraphException = "GraphMethodException"
)

// param is a refusal of a parameter.
func param(format string, args ...any) *Error {
	return &Error{Code: codeParameter, Message: "(#100) " + fmt.Sprintf(format, args...)}
}

func badData(message string) *Error {
	e := param("%s", message)
	e.Subcode = subcodeBadData
	return e
}

func noObject(id string) *Error {
	return &Error{
		Code: codeParameter, Subcode: subcodeNoObject, Type: typeGraphException,
		Message: fmt.Sprintf("Unsupported request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, or does not support this operation. Please read the Graph API documentation at https://developers.facebook.com/docs/graph-api", id),
	}
}

type errorBody struct {
	Error errorFields `json:"error"`
}

type errorFields struct {
	Message   string `json:"message"`
	Type      string `json:"type"`
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode,omitempty"`
	Transient bool   `json:"is_transient,omitempty"`
	UserTitle string `json:"error_user_title,omitempty"`
	UserMsg   string `json:"error_user_msg,omitempty"`
	TraceID   string `json:"fbtrace_id"`
}

func (e *Error) write(w http.ResponseWriter) {
	status, kind := e.Status, e.Type
	if status == 0 {
		status = http.StatusBadRequest
	}
	if kind == "" {
		kind = "OAuthException"
	}
	if e.Garbage {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, garbage)
		return
	}
	trace := traceID()
	h := w.Header()
	h.Set("X-Fb-Trace-Id", trace)
	if e.Code == codeToken {
		h.Set("Www-Authenticate", `OAuth "Facebook Platform" "invalid_token" "`+http.StatusText(status)+`"`)
	}
	writeJSON(w, status, errorBody{Error: errorFields{
		Message: e.Message, Type: kind, Code: e.Code, Subcode: e.Subcode, Transient: e.Transient,
		UserTitle: e.UserTitle, UserMsg: e.UserMsg, TraceID: trace,
	}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// traceID looks like Meta's: an A and ten characters.
func traceID() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	b := [11]byte{'A'}
	x := rand.Uint64() //nolint:gosec // an id for logs
	for i := 1; i < len(b); i++ {
		b[i] = letters[x&63]
		x >>= 6
	}
	return string(b[:])
}
