package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// playedSimulator takes what is asked of a simulator and returns its address.
func playedSimulator(t *testing.T, asked chan<- map[string]any) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if r.URL.Path != "/control/message" || json.NewDecoder(r.Body).Decode(&body) != nil {
			http.Error(w, "not that", http.StatusBadRequest)
			return
		}
		asked <- body
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL
}
