package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCheckIsAskedAndOneFailureIsEnough(t *testing.T) {
	t.Parallel()
	const checks = 50
	h := &Health{}
	for i := range checks {
		h.Add(fmt.Sprintf("good%02d", i), func(context.Context) error { return nil })
	}
	service := h.For("responder")
	results, ready := service.parent.Run(t.Context())
	require.True(t, ready)
	require.Len(t, results, checks)

	service.Add("rules", func(context.Context) error { return errors.New("not loaded yet") })
	results, ready = h.Run(t.Context())
	require.False(t, ready)
	require.Len(t, results, checks+1)
	require.Contains(t, results, Result{Name: "responder.rules", Error: "not loaded yet"})
}

func TestANoteIsShownAndDoesNotDecide(t *testing.T) {
	t.Parallel()
	h := &Health{}
	var problem error
	h.For("ingress").AddNote("spool", func(context.Context) (string, error) { return "2 webhooks wait", problem })
	answer := func() (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
		return w.Code, w.Body.String()
	}
	status, body := answer()
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"status":"ready","checks":[{"name":"ingress.spool","ok":true,"detail":"2 webhooks wait"}]}`, body)

	problem = errors.New("full")
	status, body = answer()
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"status":"degraded","checks":[{"name":"ingress.spool","ok":false,"error":"full","detail":"2 webhooks wait"}]}`, body)

	h.Add("webhooks", func(context.Context) error { return errors.New("nowhere to put them") })
	status, body = answer()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"status":"not ready"`)
}
