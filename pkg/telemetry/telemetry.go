// Package telemetry is what an operator sees of a process: log lines, metrics, traces, and whether it is alive and ready.
//
// One process has one Telemetry; a process that runs several services gives each its own view of it with For, so that
// lines, metrics and checks say which service they are about.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-dm/parley/pkg/config"
)

// Telemetry is a service's log, metrics, tracer and health checks.
type Telemetry struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Tracer  trace.Tracer
	Health  *Health

	service  string
	root     *slog.Logger
	registry *prometheus.Registry
	provider trace.TracerProvider
	troubles *troubles
	closers  []func(context.Context) error
}

// Options says how to start.
type Options struct {
	Service string
	Common  config.Common
	// LogTo is where lines go; standard error if nil.
	LogTo io.Writer
	// NoAdmin leaves the admin endpoints unserved, for tests.
	NoAdmin bool
}

// Start builds the process's telemetry and serves /healthz, /readyz and /metrics on ADMIN_ADDR. The socket is bound
// before Start returns. Close it when everything else has stopped.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	if o.LogTo == nil {
		o.LogTo = os.Stderr
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	remembered := &troubles{}
	root := slog.New(troubled{Handler: NewLogger(o.LogTo, o.Common).Handler(), into: remembered})
	provider, shutdown, err := newTracerProvider(ctx, o.Service, o.Common)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{root: root, registry: registry, provider: provider, troubles: remembered, Health: &Health{}, closers: []func(context.Context) error{shutdown}}
	t.setService(o.Service)
	if o.NoAdmin {
		return t, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Common.AdminAddr)
	if err != nil {
		return nil, fmt.Errorf("listen on ADMIN_ADDR %s: %w", o.Common.AdminAddr, err)
	}
	t.closers = append(t.closers, serveAdmin(listener, t))
	return t, nil
}

// Discard is telemetry that goes nowhere, for tests and for tools.
func Discard() *Telemetry {
	t := &Telemetry{root: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry(), provider: noTraces, Health: &Health{}}
	t.setService("discard")
	return t
}

// For is the view of one service in a process that runs several.
func (t *Telemetry) For(service string) *Telemetry {
	child := &Telemetry{root: t.root, registry: t.registry, provider: t.provider, troubles: t.troubles, Health: t.Health.For(service)}
	child.setService(service)
	return child
}

func (t *Telemetry) setService(service string) {
	t.service = service
	t.Log = t.root.With("service", service)
	t.Metrics = prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, t.registry)
	t.Tracer = t.provider.Tracer("github.com/parley-dm/parley/" + service)
}

// Service is the name that lines and metrics carry.
func (t *Telemetry) Service() string { return t.service }

// Gatherer gives what was registered.
func (t *Telemetry) Gatherer() prometheus.Gatherer { return t.registry }

// Close stops the admin endpoints and sends the traces that wait. It does nothing for a view made by For.
func (t *Telemetry) Close(ctx context.Context) error {
	var first error
	for i := len(t.closers) - 1; i >= 0; i-- {
		if err := t.closers[i](ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}
