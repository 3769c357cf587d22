package graph

import (
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

const (
	window      = 24 * time.Hour
	humanWindow = 7 * 24 * time.Hour
	// echoLead is how long an answer is held back when its echo shall come first.
	echoLead = 50 * time.Millisecond
)

type sendResult struct {
	RecipientID string `json:"recipient_id"`
	MessageID   string `json:"message_id,omitempty"`
}

// send is POST /{account}/messages.
func (a *API) send(w http.ResponseWriter, r *http.Request, node string) *Error {
	req, refusal := readRequest(w, r)
	c := fromRequest(r)
	if c.token == "" {
		c.token = req.AccessToken
	}
	if c.proof == "" {
		c.proof = req.Proof
	}
	account, err := a.authorize(c, node)
	if err != nil {
		return err
	}
	if err := own(account, node); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	if err := a.admit(w, account); err != nil {
		return err
	}
	return a.sendTo(w, account, req)
}

func (a *API) sendTo(w http.ResponseWriter, account world.Account, req request) *Error {
	to, err := parseRecipient(req.Recipient)
	if err != nil {
		return err
	}
	key := world.Key{Account: account.ID, Customer: to.ID}
	if to.CommentID != "" {
		if comment, ok := a.deps.World.FindComment(account.ID, to.CommentID); ok {
			key = comment.Key
		}
	}
	faults := a.deps.Faults.Call(fault.Messages, key.Account, key.Customer)
	a.wait(a.opts.Delay + faults.Delay)
	if faults.ResetBefore {
		reset(w)
		return nil
	}
	if faults.Error != nil {
		return a.fromFault(w, key.Account, faults.Error)
	}
	if to.CommentID != "" && req.SenderAction != "" {
		return param("Param recipient[comment_id] takes a message only.")
	}
	if present(req.Message) == (req.SenderAction != "") {
		return param("The request must have exactly one of message and sender_action.")
	}
	if err := checkTag(req); err != nil {
		return err
	}
	if req.SenderAction != "" {
		return a.action(w, key, req)
	}
	m, err := parseMessage(req.Message)
	if err != nil {
		return err
	}
	if err := a.replyToOf(req, &m); err != nil {
		return err
	}
	if err := a.limit(account.ID, m.limit); err != nil {
		return err
	}
	if to.CommentID != "" {
		if err := a.replyPrivately(account.ID, to.CommentID); err != nil {
			return err
		}
		return a.hand(w, key, m, faults)
	}
	if err := a.allowed(key, req.Tag); err != nil {
		return err
	}
	return a.hand(w, key, m, faults)
}

// replyToOf takes reply_to from beside the message, where Meta documents it, too.
func (a *API) replyToOf(req request, m *parsed) *Error {
	if !present(req.ReplyTo) {
		return nil
	}
	var quoted replyTo
	if err := strict(req.ReplyTo, "reply_to", &quoted); err != nil {
		return err
	}
	if quoted.MID == "" {
		return param("Param reply_to[mid] is required.")
	}
	m.replyTo = quoted.MID
	return nil
}

// hand gives the message to the customer and answers.
func (a *API) hand(w http.ResponseWriter, key world.Key, m parsed, faults fault.Call) *Error {
	sent, err := a.deps.World.Receive(world.Reply{Key: key, Kind: m.kind, Text: m.text, Content: m.content, ReplyTo: m.replyTo})
	if err != nil {
		return &Error{Status: http.StatusInternalServerError, Code: 2, Transient: true, Message: "(#2) Service temporarily unavailable: " + err.Error()}
	}
	if !faults.NoEcho {
		// An echo that cannot be sent is one that never comes: the sender of the message is not told, by Meta neither.
		_ = a.deps.Echoer.Echo(sent)
	}
	switch {
	case faults.ResetAfter:
		reset(w)
		return nil
	case faults.SentButError:
		return &Error{Status: http.StatusInternalServerError, Code: 1, Subcode: subcodeSentAnyway, Message: "(#1) An unknown error has occurred."}
	case faults.EchoFirst:
		a.wait(echoLead)
	}
	writeJSON(w, http.StatusOK, sendResult{RecipientID: key.Customer, MessageID: sent.MID})
	return nil
}

// allowed checks the messaging window.
func (a *API) allowed(key world.Key, tag string) *Error {
	standing := a.deps.World.Standing(key)
	if standing.Away {
		return &Error{Code: codeParameter, Subcode: subcodeOtherApp, Message: "(#100) Another app is controlling this thread now."}
	}
	if !standing.Known {
		if a.opts.StrictRecipients {
			return &Error{Code: codeParameter, Subcode: subcodeNoSuchUser, Message: "(#100) The requested user cannot be found."}
		}
		return nil // a customer of a webhook that the simulator did not send: nothing is known of the window
	}
	open := window
	if tag == "HUMAN_AGENT" {
		open = humanWindow
	}
	if a.opts.IgnoreWindow || a.deps.World.Now().Sub(standing.LastWrote) <= open {
		return nil
	}
	return &Error{
		Status: http.StatusForbidden, Code: codePermission, Subcode: subcodeWindow,
		Message: "(#10) This message is sent outside of allowed window. Learn more about the new policy here: https://developers.facebook.com/docs/messenger-platform/policy-overview",
	}
}

func checkTag(req request) *Error {
	if req.MessagingType != "" && !slices.Contains([]string{"RESPONSE", "UPDATE", "MESSAGE_TAG"}, req.MessagingType) {
		return param("Param messaging_type must be one of {MESSAGE_TAG, RESPONSE, UPDATE}.")
	}
	if req.Tag != "" && req.Tag != "HUMAN_AGENT" {
		return param("Param tag must be one of {HUMAN_AGENT}.")
	}
	if (req.MessagingType == "MESSAGE_TAG") != (req.Tag != "") {
		return param("Param tag is required with messaging_type MESSAGE_TAG, and only with it.")
	}
	return nil
}

type actionPayload struct {
	MessageID string `json:"message_id"`
	Reaction  string `json:"reaction"`
}

var emojis = map[string]string{
	"love": "❤️", "like": "👍", "haha": "😆", "wow": "😮", "sad": "😢", "angry": "😠", "smile": "😊", "dislike": "👎",
}

// action is a sender action: typing, seen, or a reaction.
func (a *API) action(w http.ResponseWriter, key world.Key, req request) *Error {
	if err := a.limit(key.Account, limitText); err != nil {
		return err
	}
	if err := a.allowed(key, req.Tag); err != nil {
		return err
	}
	switch req.SenderAction {
	case "typing_on", "typing_off":
		a.deps.World.Typing(key, req.SenderAction == "typing_on")
	case "mark_seen":
		a.deps.World.Seen(key)
	case "react", "unreact":
		if err := a.react(key, req); err != nil {
			return err
		}
	default:
		return param("Param sender_action must be one of {MARK_SEEN, REACT, TYPING_OFF, TYPING_ON, UNREACT}.")
	}
	writeJSON(w, http.StatusOK, sendResult{RecipientID: key.Customer})
	return nil
}

func (a *API) react(key world.Key, req request) *Error {
	var p actionPayload
	if !present(req.Payload) {
		return param("Param payload is required.")
	}
	if err := strict(req.Payload, "payload", &p); err != nil {
		return err
	}
	emoji := ""
	if req.SenderAction == "react" {
		var ok bool
		if emoji, ok = emojis[p.Reaction]; !ok {
			return param("Param payload[reaction] is not a reaction.")
		}
	}
	if _, err := a.deps.World.Change(key, p.MessageID, world.Change{Reaction: &emoji}); err != nil {
		return param("Param payload[message_id] is not a message of this conversation.")
	}
	return nil
}

// reset breaks the connection without an answer.
func reset(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler) // HTTP/2: the server resets the stream
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // RST rather than FIN
	}
	_ = conn.Close()
}
