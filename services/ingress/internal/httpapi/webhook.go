package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/ingress/internal/intake"
)

// firstRead is what is set aside for a body before any of it has come, whatever its length is said to be.
const firstRead = 64 << 10

// webhook takes one webhook. It is answered 200 when all that is in it is durable, and not before.
func (a *api) webhook(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	defer func() { a.seconds.Observe(time.Since(start).Seconds()) }()
	raw, p := a.read(w, r)
	if p != nil {
		a.refuse(w, r, *p)
		return
	}
	id := requestID(r.Context())
	if err := webhook.Verify(r.Header.Get(webhook.SignatureHeader), raw, a.Secrets()); err != nil {
		a.Log.Warn("webhook.signature_refused", telemetry.KeyRequest, id, "client", a.client(r).String(), "bytes", len(raw), telemetry.KeyError, err)
		a.refuse(w, r, problem{http.StatusUnauthorized, "invalid_signature", err.Error()})
		return
	}
	events, err := webhook.Parse(raw, webhook.Options{ReceivedAt: start, Known: a.Answers})
	if err != nil {
		a.Log.Warn("webhook.body_refused", telemetry.KeyRequest, id, "bytes", len(raw), telemetry.KeyError, err)
		code := "invalid_body"
		if errors.Is(err, webhook.ErrNoObject) {
			code = "missing_object"
		}
		a.refuse(w, r, problem{http.StatusBadRequest, code, err.Error()})
		return
	}
	if err := a.Intake.Take(r.Context(), intake.Webhook{Request: id, ReceivedAt: start, Raw: raw, Events: events}); err != nil {
		a.Log.Error("webhook.not_durable", telemetry.KeyRequest, id, "events", len(events), telemetry.KeyDuration, time.Since(start).Milliseconds(), telemetry.KeyError, err)
		w.Header().Set("Retry-After", "5")
		a.refuse(w, r, problem{http.StatusServiceUnavailable, "unavailable", "the events cannot be stored now; send the webhook again"})
		return
	}
	a.webhooks.WithLabelValues("200").Inc()
	a.Log.Debug("webhook.accepted", telemetry.KeyRequest, id, "events", len(events), telemetry.KeyDuration, time.Since(start).Milliseconds())
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
}

// read reads the body as it came, up to MaxBodyBytes and no further.
func (a *api) read(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	tooLarge := &problem{http.StatusRequestEntityTooLarge, "body_too_large", "the body is larger than MAX_BODY_BYTES"}
	if r.ContentLength > a.MaxBodyBytes {
		w.Header().Set("Connection", "close") // else the server would read on to keep the connection
		return nil, tooLarge
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), firstRead)) + bytes.MinRead)
	_, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, a.MaxBodyBytes))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case err != nil:
		return nil, &problem{http.StatusBadRequest, "unreadable_body", "the body could not be read to its end"}
	}
	return body.Bytes(), nil
}
