package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// problem is why a request is refused. Message is for the operator who reads it; it never repeats what was sent.
type problem struct {
	status        int
	code, message string
}

func (a *api) refuse(w http.ResponseWriter, r *http.Request, p problem) {
	if r.Method == http.MethodPost && r.URL.Path == Path {
		a.webhooks.WithLabelValues(strconv.Itoa(p.status)).Inc()
	}
	body := struct {
		Error     string `json:"error"`
		Message   string `json:"message"`
		Timestamp string `json:"timestamp"`
		RequestID string `json:"request_id"`
	}{p.code, p.message, time.Now().UTC().Format(time.RFC3339Nano), requestID(r.Context())}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone away, or gets it
}
