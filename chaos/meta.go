package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/simulator"
)

// meta is the simulator, over its control API.
type meta struct {
	url    string
	client *http.Client
}

func newMeta(url string) *meta {
	// A transport of its own: the default one would obey HTTP_PROXY.
	return &meta{url: url, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
}

// say has a customer write a text that must get a certain reply.
func (m *meta) say(ctx context.Context, account, customer, text, expect string) error {
	return m.call(ctx, http.MethodPost, "/control/message", map[string]any{
		"account": account, "customer": customer, "text": text, "expect": expect, "show": false,
	}, nil)
}

// misbehave sets faults and returns how to end them.
func (m *meta) misbehave(ctx context.Context, f *metaFault, account string) (ids []string, err error) {
	for _, fault := range f.faults {
		if f.one {
			fault.Account = account
		}
		if fault.Rate == 0 {
			fault.Rate = 1
		}
		var set simulator.Fault
		if err := m.call(ctx, http.MethodPost, "/control/fault", fault, &set); err != nil {
			return ids, err
		}
		ids = append(ids, set.ID)
	}
	return ids, nil
}

func (m *meta) behave(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := m.call(ctx, http.MethodDelete, "/control/fault/"+id, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// totals is how far things have come.
type totals struct {
	simulator.Totals
	// Waiting counts the webhooks that were not accepted yet, echoes and copies too.
	Waiting int `json:"waiting"`
}

func (m *meta) totals(ctx context.Context) (t totals, err error) {
	err = m.call(ctx, http.MethodGet, "/control/totals", nil, &t)
	return t, err
}

// conversation is what one customer and one account said, oldest first.
type conversation struct {
	Account  string              `json:"account"`
	Customer string              `json:"customer"`
	Messages []simulator.Message `json:"messages"`
}

func (m *meta) conversations(ctx context.Context) ([]conversation, error) {
	var out struct {
		Conversations []conversation `json:"conversations"`
	}
	err := m.call(ctx, http.MethodGet, "/control/ledger", nil, &out)
	return out.Conversations, err
}

func (m *meta) call(ctx context.Context, method, path string, body, into any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask the simulator: %w", err)
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, m.url+path, sent) //nolint:gosec // our own simulator's
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := m.client.Do(req) //nolint:gosec // our own simulator
	if err != nil {
		return fmt.Errorf("ask the simulator: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil {
		return fmt.Errorf("ask the simulator: %s %s: %w", method, path, err)
	}
	return nil
}
