package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/load"
)

const (
	pollEvery      = 250 * time.Millisecond
	requestTimeout = 10 * time.Second
)

// remote drives a simulator that runs somewhere else.
func remote(ctx context.Context, base string, o load.Options, progress func(load.Progress)) (load.Result, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return load.Result{}, fmt.Errorf("encode load: %w", err)
	}
	if err := call(ctx, http.MethodPost, base, body, nil); err != nil {
		return load.Result{}, err
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	interrupted := ctx.Done()
	for {
		select {
		case <-interrupted:
			interrupted = nil
			if err := call(context.WithoutCancel(ctx), http.MethodDelete, base, nil, nil); err != nil {
				return load.Result{}, err
			}
		case <-ticker.C:
		}
		var status load.Status
		if err := call(context.WithoutCancel(ctx), http.MethodGet, base, nil, &status); err != nil {
			return load.Result{}, err
		}
		progress(status.Progress)
		switch {
		case status.Error != "":
			return load.Result{}, errors.New(status.Error)
		case status.Result != nil:
			return *status.Result, nil
		}
	}
}

func call(ctx context.Context, method, base string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+"/control/load", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("--simulator: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("--simulator: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("--simulator: %w", err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		var refusal struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(answer, &refusal)
		return fmt.Errorf("--simulator: %s %s: %s: %s", method, base, resp.Status, refusal.Message)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("--simulator: decode answer: %w", err)
	}
	return nil
}
