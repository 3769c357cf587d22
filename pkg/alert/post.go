package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Signature is the header that carries an alert's signature.
const Signature = signed.Header

// The bounds of posting one alert.
const (
	postTimeout = 5 * time.Second
	maxTries    = 4
	// partingTime is what a stop gives to the alerts that wait.
	partingTime = 3 * time.Second
)

// Run posts alerts until ctx ends, and those that wait then for a moment more.
func (a *Alerts) Run(ctx context.Context) error {
	client := &http.Client{
		Transport: a.o.Transport, Timeout: postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if client.Transport == nil {
		transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second}
		defer transport.CloseIdleConnections()
		client.Transport = transport
	}
	posting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	off := context.AfterFunc(ctx, func() {
		select {
		case <-posting.Done():
		case <-time.After(partingTime):
			cancel()
		}
	})
	defer off()
	for {
		select {
		case one := <-a.waiting:
			a.post(posting, client, one)
			continue
		default:
		}
		select {
		case one := <-a.waiting:
			a.post(posting, client, one)
		case <-ctx.Done():
			return nil
		}
	}
}

// errRefused is an answer that trying again does not change.
var errRefused = errors.New("refused")

// post posts one alert, a few times if need be. That it could not is told by the log, which has the alert as well.
func (a *Alerts) post(ctx context.Context, client *http.Client, one Alert) {
	body, err := json.Marshal(one)
	if err == nil {
		_, err = backoff.Retry(ctx, func() (struct{}, error) {
			err := a.try(ctx, client, body)
			if errors.Is(err, errRefused) {
				err = backoff.Permanent(err)
			}
			return struct{}{}, err
		}, backoff.WithMaxTries(maxTries), backoff.WithBackOff(backoff.NewExponentialBackOff()))
	}
	if err != nil {
		a.posts.WithLabelValues("failed").Inc()
		a.o.Log.ErrorContext(ctx, "alert.not_posted", "kind", string(one.Kind), telemetry.KeyAccount, one.Account, telemetry.KeyError, err)
		return
	}
	a.posts.WithLabelValues("posted").Inc()
}

func (a *Alerts) try(ctx context.Context, client *http.Client, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.s.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: ALERT_URL cannot be used", errRefused) // err names the URL
	}
	request.Header.Set("Content-Type", "application/json")
	if a.s.Secret != "" {
		request.Header.Set(Signature, signed.Sign(a.s.Secret.Reveal(), body))
	}
	response, err := client.Do(request)
	if err != nil {
		if unwrapped := errors.Unwrap(err); unwrapped != nil { // a *url.Error names the URL
			err = unwrapped
		}
		return fmt.Errorf("post to ALERT_URL: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	switch status := response.StatusCode; {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusTooManyRequests, status >= 500:
		return fmt.Errorf("ALERT_URL answered %d", status)
	default:
		return fmt.Errorf("%w: ALERT_URL answered %d", errRefused, status)
	}
}
