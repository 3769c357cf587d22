package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const (
	keyHeader    = "Idempotency-Key"
	replayHeader = "Idempotency-Replayed"
	maxKey       = 200
	keepTimeout  = 5 * time.Second
)

// keyOf is the request's idempotency key with a fingerprint of the request; empty for none. What is made by the request takes
// its id from it, so that one that died in the middle is finished, and not done again, when it comes again. The fingerprint is
// for keys that are used anew for something else, when the first use is forgotten.
func keyOf(ctx context.Context) string {
	key, _ := ctx.Value(idempotencyKey).(string)
	return key
}

// idempotent is middleware that does a write with a key once, and answers the same request the same again.
func (a *API) idempotent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get(keyHeader)
		who, ok := callerOf(r.Context())
		if key == "" || !ok || r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		if len(key) > maxKey {
			problem(w, http.StatusBadRequest, fmt.Sprintf("%s: got %d bytes, expected %d at most", keyHeader, len(key), maxKey))
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			problem(w, http.StatusRequestEntityTooLarge, "the request is too large, or was cut off")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mark := fingerprint(r, body)
		before, err := a.d.Store.ClaimKey(r.Context(), who.user.ID, key, mark)
		switch {
		case errors.Is(err, store.ErrKeyReused):
			problem(w, http.StatusUnprocessableEntity, keyHeader+": "+err.Error())
		case errors.Is(err, store.ErrKeyBusy):
			w.Header().Set("Retry-After", "1")
			problem(w, http.StatusConflict, keyHeader+": "+err.Error())
		case err != nil:
			a.d.Log.ErrorContext(r.Context(), "api.failed", "what", "idempotency", telemetry.KeyRequest, web.RequestID(r.Context()), telemetry.KeyError, err)
			problem(w, http.StatusServiceUnavailable, "the database is away: try again in a moment")
		case before != nil:
			w.Header().Set(replayHeader, "true")
			w.Header().Set("Content-Type", before.ContentType)
			w.WriteHeader(before.Status)
			_, _ = w.Write(before.Body) //nolint:gosec // an answer of ours that was kept, with its own Content-Type
		default:
			ctx := context.WithValue(r.Context(), idempotencyKey, key+":"+hex.EncodeToString(mark))
			a.answer(w, r.WithContext(ctx), next, who.user.ID, key) //nolint:contextcheck // it is the request's, in r
		}
	})
}

// answer does the request, keeps the answer, and gives it. One that panics has no answer: its key is free again.
func (a *API) answer(w http.ResponseWriter, r *http.Request, next http.Handler, userID, key string) {
	kept := &recorder{header: w.Header(), status: http.StatusInternalServerError}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), keepTimeout)
		defer cancel()
		answer := store.Answer{Status: kept.status, ContentType: kept.header.Get("Content-Type"), Body: kept.body.Bytes()}
		if err := a.d.Store.KeepAnswer(ctx, userID, key, answer); err != nil {
			a.d.Log.WarnContext(ctx, "api.answer_not_kept", telemetry.KeyRequest, web.RequestID(ctx), telemetry.KeyError, err)
		}
		if kept.answered {
			w.WriteHeader(kept.status)
			_, _ = w.Write(kept.body.Bytes())
		}
	}()
	next.ServeHTTP(kept, r)
}

// fingerprint tells whether a request is the same as one before.
func fingerprint(r *http.Request, body []byte) []byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n", r.Method, r.URL.RequestURI())
	_, _ = h.Write(body)
	return h.Sum(nil)
}

// recorder keeps an answer. Answers to writes are small.
type recorder struct {
	header   http.Header
	status   int
	answered bool
	body     bytes.Buffer
}

// Header implements http.ResponseWriter.
func (k *recorder) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *recorder) WriteHeader(status int) { k.status, k.answered = status, true }

// Write implements http.ResponseWriter.
func (k *recorder) Write(b []byte) (int, error) {
	if !k.answered {
		k.WriteHeader(http.StatusOK)
	}
	return k.body.Write(b)
}
