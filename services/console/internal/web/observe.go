package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// RequestID is the request's id, which is on its log line and on a page that says that something went wrong.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

// Observe is middleware that logs each request on one line, without its query, and turns a panic into an error.
func Observe(log *slog.Logger, newID func() string, fail func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			id := newID()
			w.Header().Set("X-Request-ID", id)
			r = r.WithContext(context.WithValue(r.Context(), requestKey, id))
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			defer func() { //nolint:contextcheck // r carries it
				if p := recover(); p != nil {
					if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
						panic(p)
					}
					log.ErrorContext(r.Context(), "request.panicked", "request_id", id, "panic", p, "stack", string(debug.Stack()))
					if ww.Status() == 0 {
						fail(ww, r, &Error{http.StatusInternalServerError, "Something went wrong", "It is in the log, under the request's id."})
					}
				}
				log.DebugContext(r.Context(), "request.answered", "request_id", id, "method", r.Method, "path", r.URL.Path,
					"status", ww.Status(), "bytes", ww.BytesWritten(), telemetry.KeyDuration, time.Since(began).Milliseconds())
			}()
			next.ServeHTTP(ww, r)
		})
	}
}

// NewRequestID makes ids of requests.
func NewRequestID() string {
	token, _ := NewToken()
	return dm.EventID("", "", "request", token)[3:15]
}
