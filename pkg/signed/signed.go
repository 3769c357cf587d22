// Package signed is how Parley tells other programs of something: a POST of JSON, signed over its bytes, that ends in time, follows
// no redirect and reads nothing of the answer but its status.
//
// Who may be called is the caller's to say, see [Reach]; when to try again, too.
package signed

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The headers of a post. Header carries the signature of the body, see [Sign]; EventHeader says what it tells of, and
// DeliveryHeader which it is: the same one has the same, however often it comes.
const (
	Header         = "X-Parley-Signature-256"
	EventHeader    = "X-Parley-Event"
	DeliveryHeader = "X-Parley-Delivery"
)

// maxRead is how much of an answer is read, so that its connection can be used again.
const maxRead = 64 << 10

// maxRetryAfter bounds what an answer may ask for.
const maxRetryAfter = time.Hour

// Sign is the value of the signature's header, as Meta signs webhooks: sha256= and the HMAC-SHA256 of the body, in hexadecimal.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Message is one thing that another program is told.
type Message struct {
	// URL is where; Secret signs the body, and without one it is not signed.
	URL, Secret string
	// Event and ID are for the headers.
	Event, ID string
	// Body is JSON.
	Body []byte
}

// RefusedError is an answer that is not 2xx.
type RefusedError struct {
	Status int
	// RetryAfter is how long the answer asks to wait; 0 if it does not.
	RetryAfter time.Duration
}

func (e *RefusedError) Error() string { return fmt.Sprintf("answered %d", e.Status) }

// Post tells it once. status is that of the answer, 0 if there was none. The error is a [RefusedError] where the answer is not 2xx; it
// never repeats the address, which may hold a secret.
func Post(ctx context.Context, client *http.Client, m Message) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return 0, errors.New("the address cannot be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Parley")
	request.Header.Set(EventHeader, m.Event)
	request.Header.Set(DeliveryHeader, m.ID)
	if m.Secret != "" {
		request.Header.Set(Header, Sign(m.Secret, m.Body))
	}
	response, err := client.Do(request)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // a *url.Error repeats the address
			err = inner
		}
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, maxRead)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return response.StatusCode, &RefusedError{Status: response.StatusCode, RetryAfter: retryAfter(response.Header.Get("Retry-After"))}
	}
	return response.StatusCode, nil
}

// retryAfter reads the header's seconds; its other form, a date, is rare.
func retryAfter(s string) time.Duration {
	seconds, err := strconv.Atoi(s)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
}
