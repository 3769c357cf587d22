package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// wireVersion is that of the JSON both ways.
const wireVersion = 1

// Request is the body that is posted to an engine.
type Request struct {
	Version int `json:"version"`
	// Event is what is answered, as on the bus, without Meta's raw item.
	Event        dm.Event     `json:"event"`
	Account      WireAccount  `json:"account"`
	Customer     WireCustomer `json:"customer"`
	Conversation WireState    `json:"conversation"`
	// History are the last messages before this one, the oldest first.
	History []Said    `json:"history"`
	Now     time.Time `json:"now"`
	// TimeoutMS is how long the answer is waited for.
	TimeoutMS int64 `json:"timeout_ms"`
}

// WireAccount is the account that is written to.
type WireAccount struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// WireCustomer is who wrote.
type WireCustomer struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
}

// WireState is what is known of the conversation.
type WireState struct {
	// New: the customer has never written before. Returning: they have had a reply before.
	New       bool `json:"new"`
	Returning bool `json:"returning"`
	// Language is the message's (ISO 639-1), empty where nobody can say.
	Language     string    `json:"language,omitempty"`
	Labels       []string  `json:"labels"`
	FirstContact time.Time `json:"first_contact,omitzero"`
	LastReply    time.Time `json:"last_reply,omitzero"`
	LastFallback time.Time `json:"last_fallback,omitzero"`
}

// The values of Response.Action.
const (
	ActionReply  = "reply"  // say Parts
	ActionPass   = "pass"   // let the next one decide
	ActionSilent = "silent" // say nothing, not even the fallback
)

// Response is the body of an engine's answer. Members that it does not have are refused, so that a misspelt one is found at once.
type Response struct {
	Version int    `json:"version"`
	Action  string `json:"action"`
	// Parts are what is said, as in reply intents; Reply is a text alone, instead.
	Reply string    `json:"reply,omitempty"`
	Parts []dm.Part `json:"parts,omitempty"`
	// Like sets a heart on the message. HandOff gives the conversation to a person, after what is said.
	Like    bool     `json:"like,omitempty"`
	HandOff bool     `json:"hand_off,omitempty"`
	Labels  []string `json:"labels,omitempty"`
	// Reason is kept in the trace, cut at 160 bytes.
	Reason string `json:"reason,omitempty"`
	// Intent and Sentiment are what it takes the message for; they are kept in the trace.
	Intent    string `json:"intent,omitempty"`
	Sentiment string `json:"sentiment,omitempty"`
}

func requestOf(t *Turn, history []Said, timeout time.Duration) Request {
	e := *t.Event
	e.Raw = nil
	known := t.Known.Facts()
	r := Request{
		Version: wireVersion, Event: e, Account: WireAccount{ID: e.Account, Name: t.Account.Name},
		Customer: WireCustomer{ID: e.Customer, Name: t.Customer.Name, Username: t.Customer.Username},
		Conversation: WireState{
			New: t.First, Returning: t.Returning, Labels: t.Labels, FirstContact: known.FirstContact, LastReply: known.LastReply, LastFallback: known.LastFallback,
		},
		History: history, Now: t.Now.UTC(), TimeoutMS: timeout.Milliseconds(),
	}
	if r.History == nil {
		r.History = []Said{}
	}
	if r.Conversation.Labels == nil {
		r.Conversation.Labels = []string{}
	}
	if t.Language != nil {
		r.Conversation.Language = t.Language()
	}
	return r
}

// decodeResponse reads an answer. Its errors quote nothing of it.
func decodeResponse(body []byte) (Response, error) {
	var r Response
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: expected a JSON object as documented: %w", ErrRubbish, plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, fmt.Errorf("%w: expected one JSON object, and nothing behind it", ErrRubbish)
	}
	switch {
	case r.Version != wireVersion:
		return r, fmt.Errorf("%w: version: got %d, expected %d", ErrRubbish, r.Version, wireVersion)
	case r.Action != ActionReply && r.Action != ActionPass && r.Action != ActionSilent:
		return r, fmt.Errorf("%w: action: expected %s, %s or %s", ErrRubbish, ActionReply, ActionPass, ActionSilent)
	case r.Reply != "" && len(r.Parts) > 0:
		return r, fmt.Errorf("%w: reply: got parts beside it, expected one of the two", ErrRubbish)
	case r.Action != ActionReply && (r.Reply != "" || len(r.Parts) > 0):
		return r, fmt.Errorf("%w: parts: got some beside action %s, expected none", ErrRubbish, r.Action)
	case r.Action == ActionPass && (r.Like || r.HandOff || len(r.Labels) > 0):
		return r, fmt.Errorf("%w: action: got pass and something to do, expected one of the two", ErrRubbish)
	}
	return r, nil
}

// plain is a decoding error without what was decoded.
func plain(err error) error {
	var typed *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typed):
		return fmt.Errorf("%s: expected %s", typed.Field, typed.Type)
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early")
	default:
		return errors.New("a member that is not known")
	}
}

func (r *Response) decision() *Decision {
	d := &Decision{
		Origin: dm.OriginEngine, Reason: "engine", Parts: r.Parts, Like: r.Like, HandOff: r.HandOff, Labels: r.Labels, Silent: r.Action == ActionSilent,
	}
	if r.Reply != "" {
		d.Parts = []dm.Part{{Kind: dm.PartText, Text: r.Reply}}
	}
	return d
}

// explain tells the trace what the engine took the message for.
func (r *Response) explain(t *dm.Trace) {
	if r.Intent != "" {
		t.Intent = cut(r.Intent)
	}
	if r.Sentiment != "" {
		t.Sentiment = cut(r.Sentiment)
	}
}

func cut(s string) string {
	if runes := []rune(s); len(runes) > maxLabel {
		return string(runes[:maxLabel])
	}
	return s
}
