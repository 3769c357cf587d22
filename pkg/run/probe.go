package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/parley-dm/parley/pkg/config"
)

// probeTimeout bounds a probe. It is above the two seconds that a readiness check may take, so that the answer names
// what is missing, and below what container platforms commonly wait.
const probeTimeout = 3 * time.Second

// maxProbeAnswer bounds how much of an answer is repeated.
const maxProbeAnswer = 4 << 10

// The admin endpoints that a probe can ask.
const (
	ProbeReady = "/readyz"  // it can do its work
	ProbeLive  = "/healthz" // the process lives
)

// Probe asks the process that runs with the same environment, through its ADMIN_ADDR, whether it lives or is ready, and
// returns an exit code: an image without a shell checks its own health with it. An answer other than 200 is repeated on
// stderr.
func Probe(ctx context.Context, endpoint string, environ []string, stderr io.Writer) int {
	cfg, err := config.Load[config.Common](environ)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "probe: %v\n", err)
		return ExitUsage
	}
	if err := probe(ctx, endpoint, cfg.AdminAddr); err != nil {
		_, _ = fmt.Fprintf(stderr, "probe: %v\n", err)
		return ExitFailed
	}
	return ExitOK
}

func probe(ctx context.Context, endpoint, adminAddr string) (err error) {
	addr, err := dialable(adminAddr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+endpoint, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s%s: %w", addr, endpoint, err)
	}
	// A transport of its own: the default one would obey HTTP_PROXY, and the process asked is this machine's.
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask %s%s: %w", addr, endpoint, err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProbeAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s%s: %w", addr, endpoint, err)
	}
	return fmt.Errorf("%s%s answered %s: %s", addr, endpoint, res.Status, body)
}

// dialable turns an address to listen on into one to call: no host, or the unspecified one, means this machine.
func dialable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
