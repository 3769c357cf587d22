// Package answer writes the JSON of the simulator's own API (not Meta's): results, and errors in Parley's shape.
package answer

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/play"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// MaxBody bounds a request's body, MaxRaw that of a webhook that is given as it is: more than ingress takes, so that its
// bound can be tried.
const (
	MaxBody = 1 << 20
	MaxRaw  = 16 << 20
)

const requestID = "X-Request-Id"

// Errors of a request itself.
var (
	errBody      = errors.New("the body is not what is expected here")
	errMediaType = errors.New("the body must be application/json")
)

// Frame wraps the simulator's own endpoints: an id for each request, and no state changed by a page of another origin.
// Bodies are bounded.
func Frame(next http.Handler) http.Handler {
	guarded := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestID)
		if id == "" || len(id) > 64 {
			id = rand.Text()
		}
		h := w.Header()
		h.Set(requestID, id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		guarded.ServeHTTP(w, r)
	})
}

// JSON writes a result.
func JSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// Error writes an error with the status that its kind has.
func Error(w http.ResponseWriter, err error) {
	status, name := classify(err)
	JSON(w, status, map[string]string{
		"error": name, "message": err.Error(), "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"request_id": w.Header().Get(requestID),
	})
}

func classify(err error) (int, string) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "too_large"
	case errors.Is(err, errMediaType):
		return http.StatusUnsupportedMediaType, "unsupported_media_type"
	case errors.Is(err, errBody), errors.Is(err, play.ErrAction), errors.Is(err, fault.ErrFault):
		return http.StatusBadRequest, "bad_request"
	case errors.Is(err, world.ErrUnknownAccount), errors.Is(err, world.ErrUnknown):
		return http.StatusNotFound, "not_found"
	case errors.Is(err, world.ErrFull):
		return http.StatusInsufficientStorage, "full"
	case errors.Is(err, webhooks.ErrTooMany), errors.Is(err, webhooks.ErrClosed):
		return http.StatusServiceUnavailable, "unavailable"
	default:
		return http.StatusConflict, "conflict"
	}
}

// Read decodes a JSON body strictly: a misspelt field is better refused than ignored.
func Read(w http.ResponseWriter, r *http.Request, into any) error {
	if r.Header.Get("Content-Type") != "application/json" {
		return errMediaType
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one JSON value", errBody)
	}
	return nil
}
