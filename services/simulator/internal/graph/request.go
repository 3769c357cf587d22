package graph

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxBody bounds a call's body: the largest template is a few kilobytes.
const maxBody = 1 << 20

// request is the body of a send. Meta takes JSON, and forms whose values are JSON. It ignores what it does not know at this
// level, and refuses it below.
type request struct {
	Recipient     json.RawMessage `json:"recipient"`
	Message       json.RawMessage `json:"message"`
	SenderAction  string          `json:"sender_action"`
	Payload       json.RawMessage `json:"payload"`
	MessagingType string          `json:"messaging_type"`
	Tag           string          `json:"tag"`
	ReplyTo       json.RawMessage `json:"reply_to"`
	AccessToken   string          `json:"access_token"`
	Proof         string          `json:"appsecret_proof"`
}

func readRequest(w http.ResponseWriter, r *http.Request) (request, *Error) {
	var req request
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return req, &Error{Status: http.StatusRequestEntityTooLarge, Code: 1, Message: "Please reduce the amount of data you're asking for, then retry your request"}
		}
		return req, &Error{Code: 1, Message: "The request could not be read"}
	}
	if !utf8.Valid(body) {
		return req, param("Invalid parameter: the body is not valid UTF-8")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		return formRequest(body)
	}
	if err := json.Unmarshal(body, &req); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) && wrongType.Field != "" {
			return req, param("Param %s must be a %s.", wrongType.Field, wrongType.Type)
		}
		return req, &Error{Code: codeParameter, Message: "(#100) Invalid parameter: the body is not a JSON object"}
	}
	return req, nil
}

func formRequest(body []byte) (request, *Error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return request{}, param("Invalid parameter: the body is not a form")
	}
	raw := func(name string) json.RawMessage {
		if v := form.Get(name); v != "" {
			return json.RawMessage(v)
		}
		return nil
	}
	return request{
		Recipient: raw("recipient"), Message: raw("message"), SenderAction: form.Get("sender_action"), Payload: raw("payload"),
		MessagingType: form.Get("messaging_type"), Tag: form.Get("tag"), ReplyTo: raw("reply_to"),
		AccessToken: form.Get("access_token"), Proof: form.Get("appsecret_proof"),
	}, nil
}

// strict decodes a nested parameter and refuses what is not known there.
func strict(raw json.RawMessage, name string, into any) *Error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return param("Param %s must be a JSON object.", name)
		}
		return nil
	}
	if _, key, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return param("Invalid keys %s were found in param \"%s\".", key, name)
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		return param("Param %s[%s] must be a %s.", name, strings.ReplaceAll(wrongType.Field, ".", "]["), wrongType.Type)
	}
	return param("Param %s must be a JSON object.", name)
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

type recipient struct {
	ID        string `json:"id"`
	CommentID string `json:"comment_id"`
}

func parseRecipient(raw json.RawMessage) (recipient, *Error) {
	var to recipient
	if !present(raw) {
		return to, &Error{Code: codeParameter, Message: "(#100) The parameter recipient is required."}
	}
	if err := strict(raw, "recipient", &to); err != nil {
		return to, err
	}
	switch {
	case to.ID != "" && to.CommentID != "" || to.ID == "" && to.CommentID == "":
		return to, param("Param recipient must have exactly one of id and comment_id.")
	case to.ID != "" && (!isDigits(to.ID) || len(to.ID) > 20):
		return to, param(`Param recipient[id] must be a valid ID string (e.g., "123")`)
	}
	return to, nil
}
