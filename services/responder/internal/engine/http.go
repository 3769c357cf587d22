package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/signed"
)

const (
	// maxResponse bounds the body of an answer.
	maxResponse = 64 << 10
	// The breaker opens after so many failures in a row, and lets one turn try after so long: an engine that hangs costs that many
	// messages their time, not each.
	breakAfter = 5
	breakFor   = 10 * time.Second
)

// HTTPOptions says how an engine behind HTTP is asked.
type HTTPOptions struct {
	// URL is where turns are posted, Secret what signs them.
	URL, Secret config.Secret
	Timeout     time.Duration
	Log         *slog.Logger
	// Transport replaces the client's own, for tests.
	Transport http.RoundTripper
}

// HTTP asks an engine behind HTTP: it posts the turn and gets the decision. Nothing is tried again: the next engine answers.
type HTTP struct {
	o       HTTPOptions
	client  *http.Client
	breaker *gobreaker.CircuitBreaker[Response]
}

// NewHTTP makes the engine. Close closes its connections.
func NewHTTP(o HTTPOptions) *HTTP {
	h := &HTTP{o: o, client: &http.Client{
		Transport:     o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if o.Transport == nil {
		h.client.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		}
	}
	h.breaker = gobreaker.NewCircuitBreaker[Response](gobreaker.Settings{
		Name: h.Name(), MaxRequests: 1, Timeout: breakFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakAfter },
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) }, // ours, not the engine's
		OnStateChange: func(_ string, from, to gobreaker.State) {
			o.Log.Warn("engine.breaker_changed", "engine", h.Name(), "from", from.String(), "to", to.String())
		},
	})
	return h
}

// Close closes idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Name is its name in traces and metrics.
func (*HTTP) Name() string { return "http" }

// Decide posts the turn.
func (h *HTTP) Decide(ctx context.Context, t *Turn) (Verdict, error) {
	response, err := h.breaker.Execute(func() (Response, error) {
		r, err := h.ask(ctx, t)
		if err != nil {
			return r, err
		}
		// Rubbish counts as a failure, too.
		if r.Action != ActionPass {
			err = Check(r.decision(), t.Event)
		}
		return r, err
	})
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Detail: response.Reason, Explain: response.explain}
	if response.Action != ActionPass {
		v.Decision = response.decision()
	}
	return v, nil
}

func (h *HTTP) ask(ctx context.Context, t *Turn) (Response, error) {
	var history []Said
	if t.History != nil {
		var err error
		if history, err = t.History(ctx); err != nil {
			// An answer without what was said before is better than none.
			h.o.Log.WarnContext(ctx, "engine.without_history", "event_id", t.Event.ID, "error", err)
		}
	}
	body, err := json.Marshal(requestOf(t, history, h.o.Timeout))
	if err != nil {
		return Response{}, fmt.Errorf("encode the turn: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.o.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return Response{}, errors.New("ENGINE_URL cannot be used") // err names the URL
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if h.o.Secret != "" {
		request.Header.Set(signed.Header, signed.Sign(h.o.Secret.Reveal(), body))
	}
	response, err := h.client.Do(request)
	if err != nil {
		return Response{}, fmt.Errorf("post to ENGINE_URL: %w", unnamed(err))
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return Response{}, fmt.Errorf("read ENGINE_URL's answer: %w", err)
	case response.StatusCode == http.StatusNoContent:
		return Response{Action: ActionPass}, nil
	case response.StatusCode != http.StatusOK:
		return Response{}, fmt.Errorf("ENGINE_URL answered %d, expected 200 or 204", response.StatusCode)
	case len(answer) > maxResponse:
		return Response{}, fmt.Errorf("%w: got more than %d bytes", ErrRubbish, maxResponse)
	}
	return decodeResponse(answer)
}

// unnamed is an error of a request without its URL, which may hold a token.
func unnamed(err error) error {
	var named *url.Error
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}
