package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/parley-dm/parley/pkg/dm"
)

// SendResult is the Send API's answer to a message that it took.
type SendResult struct {
	RecipientID string
	// MessageID is the mid that the message's echo carries too. Reactions, typing and seen have none.
	MessageID string
	// Usage says how much of the account's and the app's allowance is used up; zero where Meta did not tell.
	Usage Usage
}

// ErrUnsupportedPart is a part that this version of the client cannot send.
var ErrUnsupportedPart = errors.New("the Send API is not asked to send this kind of part")

type sendResponse struct {
	RecipientID id         `json:"recipient_id"`
	MessageID   id         `json:"message_id"`
	Error       *errorBody `json:"error"`
}

// Send sends one part to a customer. It calls once and never again by itself: on an error, [Error.Class] says what is known of
// the message's fate. There is no idempotency key. What Meta would refuse is not sent: see [Check].
func (c *Client) Send(ctx context.Context, cred Credentials, customer string, part dm.Part) (SendResult, error) {
	if err := Check(part); err != nil {
		return SendResult{}, err
	}
	payload, err := encode(customer, &part)
	if err != nil {
		return SendResult{}, err
	}
	t, err := c.sender(cred)
	if err != nil {
		return SendResult{}, err
	}
	got, err := c.call(ctx, t, http.MethodPost, payload)
	if err != nil {
		return SendResult{}, err
	}
	var out sendResponse
	decodeErr := json.Unmarshal(got.body, &out)
	if out.Error != nil || got.status < 200 || got.status > 299 {
		return SendResult{}, newError(got, out.Error)
	}
	if decodeErr != nil || out.MessageID == "" && !part.Kind.Repeatable() {
		// The API says that it went well and not what it did: the message is probably out.
		e := newError(got, nil)
		e.Rule = Rule{Class: ClassUnknown, Meaning: "the Send API answered without a message_id"}
		return SendResult{}, e
	}
	return SendResult{RecipientID: string(out.RecipientID), MessageID: string(out.MessageID), Usage: parseUsage(got.header)}, nil
}

// id is an id that comes as a string, and sometimes as a number beyond 2^53.
type id string

// UnmarshalJSON takes a string, a number or null.
func (i *id) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' {
		if bytes.IndexByte(b, '\\') < 0 { // nearly always; a second decoding would cost as much as the first
			*i = id(b[1 : len(b)-1])
			return nil
		}
		return json.Unmarshal(b, (*string)(i))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*i = id(n)
	return nil
}
