package run_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/run"
)

type settings struct {
	config.Common
	Needed string `env:"NEEDED,required" help:"a setting that a probe must not ask for"`
}

// admin serves the admin endpoints of a process that lives and is ready or not, and returns its port.
func admin(t *testing.T, ready int) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(ready)
		_, _ = w.Write([]byte(`{"checks":[{"name":"nats"}]}`))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	return port
}

// execute runs a service that must not start and returns its exit code and what it wrote to standard error.
func execute(t *testing.T, args []string, environ ...string) (int, string) {
	t.Helper()
	var out, errs bytes.Buffer
	service := run.Service[settings]{Name: "shop", Summary: "a shop", Run: func(context.Context, settings) error {
		t.Error("the service was started")
		return nil
	}}
	code := service.Execute(t.Context(), args, environ, &out, &errs)
	require.Empty(t, out.String())
	return code, errs.String()
}

func TestProbe(t *testing.T) {
	t.Parallel()
	ready, unready := admin(t, http.StatusOK), admin(t, http.StatusServiceUnavailable)
	for name, tc := range map[string]struct {
		args []string
		addr string
		code int
		says string
	}{
		"ready":                         {[]string{"--probe"}, "127.0.0.1:" + ready, run.ExitOK, ""},
		"ready, by its long name":       {[]string{"--probe=ready"}, "127.0.0.1:" + ready, run.ExitOK, ""},
		"no host is this machine":       {[]string{"--probe"}, ":" + ready, run.ExitOK, ""},
		"all interfaces, this machine":  {[]string{"--probe"}, "0.0.0.0:" + ready, run.ExitOK, ""},
		"not ready names what is amiss": {[]string{"--probe"}, "127.0.0.1:" + unready, run.ExitFailed, `503 Service Unavailable: {"checks":[{"name":"nats"}]}`},
		"not ready, but alive":          {[]string{"--probe=live"}, "127.0.0.1:" + unready, run.ExitOK, ""},
		"not an address":                {[]string{"--probe"}, "nowhere", run.ExitUsage, "ADMIN_ADDR"},
		"unknown question":              {[]string{"--probe=rich"}, "127.0.0.1:" + ready, run.ExitUsage, "--probe=rich"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, errs := execute(t, tc.args, "ADMIN_ADDR="+tc.addr)
			require.Equal(t, tc.code, code, errs)
			require.Contains(t, errs, tc.says)
			require.Equal(t, tc.code == run.ExitOK, errs == "", errs)
		})
	}
}

func TestProbeOfNobody(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())

	code, errs := execute(t, []string{"--probe"}, "ADMIN_ADDR="+addr)
	require.Equal(t, run.ExitFailed, code)
	require.Contains(t, errs, "connection refused")
}

func TestProbeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	asked, done := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-done
	}))
	defer server.Close()
	defer close(done)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	var errs bytes.Buffer
	code := run.Probe(ctx, run.ProbeLive, []string{"ADMIN_ADDR=" + strings.TrimPrefix(server.URL, "http://")}, &errs)
	require.Equal(t, run.ExitFailed, code)
	require.Contains(t, errs.String(), "context canceled")
}
