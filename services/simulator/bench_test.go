package simulator_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/simulator"
)

// One send through the handler, without the socket and without the echo's: what the simulator itself costs.
func BenchmarkSend(b *testing.B) {
	cfg, err := config.Load[simulator.Config]([]string{"GRAPH_RATE=0", "SIMULATOR_ECHO=false"})
	if err != nil {
		b.Fatal(err)
	}
	sim, err := simulator.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sim.Close() }()
	handler := sim.Handler()
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			customer := strconv.FormatInt(1000+n.Add(1)%1000, 10)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v26.0/me/messages", strings.NewReader(`{"recipient":{"id":"`+customer+`"},"message":{"text":"Our flat white is 3.80"}}`))
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				b.Fatal(w.Body.String())
			}
		}
	})
}
