package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/console/internal/web"
)

// simulateTimeout bounds one request to the simulator.
const simulateTimeout = 5 * time.Second

// inboxSimulate has the simulator play a customer who writes: in the demo, where there are no others.
func (p *Pages) inboxSimulate(w http.ResponseWriter, r *http.Request) error {
	if p.o.SimulatorURL == "" {
		return web.ErrNotFound
	}
	body := map[string]any{"kind": "text", "text": "Hi! What is the price of the blue one?"}
	if scope := web.ScopeOf(r); len(scope) > 0 {
		body["account"] = scope[0]
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode a simulated message: %w", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), simulateTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.o.SimulatorURL+"/control/message", bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("ask the simulator: got status %d, expected 202", resp.StatusCode)
	}
	return p.done(w, r, "/inbox", "simulated")
}
