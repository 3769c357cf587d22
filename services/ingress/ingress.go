// Package ingress takes Meta's webhooks: it checks their signature, takes the body apart into events, and answers 200 only
// when every one of them is durable: on the bus, or on the disk while the bus is away. It decides nothing and knows no rules.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/ingress/internal/fence"
	"github.com/parley-dm/parley/services/ingress/internal/httpapi"
	"github.com/parley-dm/parley/services/ingress/internal/intake"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

// The server's bounds. A webhook of Meta's is small and comes at once; 8 MiB in 15 s is a slow line.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 25 * time.Second
	idleTimeout       = 75 * time.Second
	maxHeaderBytes    = 16 << 10
	// closeMargin is what a stop has left of SHUTDOWN_TIMEOUT to leave the bus when requests must have ended.
	closeMargin = 5 * time.Second
)

// Run serves webhooks until ctx ends, then finishes the requests that are in flight.
func Run(ctx context.Context, cfg Config) (err error) {
	// First of all, so that a port that is taken is told at once; whoever connects waits in the queue until we serve.
	listener, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // closed by the server already, but for an early return
	// It serves when the bus is away, too.
	p, err := pipeline.Open(ctx, pipeline.Options{Service: "ingress", Common: cfg.Common, NATS: cfg.NATS, Host: cfg.Host, Early: true})
	if err != nil {
		return fmt.Errorf("join the pipeline: %w", err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tel := p.Telemetry()
	book, err := accounts.Open(accounts.Options{Settings: cfg.Settings, Log: tel.Log})
	if err != nil {
		return err
	}
	disk, err := spool.Open(spool.Options{Dir: cfg.SpoolDir, MaxBytes: cfg.SpoolMaxBytes, Log: tel.Log, Metrics: tel.Metrics})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	order := newFence(p, disk)
	taken := intake.New(intake.Deps{Bus: p, Spool: disk, Fence: order, Answers: book.Answers, Log: tel.Log, Metrics: tel.Metrics})
	handler, err := newHandler(cfg, tel, book, taken)
	if err != nil {
		return err
	}
	tel.Health.AddNote("spool", disk.Check)
	tel.Health.Add("webhooks", taken.Check)
	p.Started()
	if cfg.Listening != nil {
		cfg.Listening(listener.Addr().String())
	}
	tel.Log.Info("ingress.listening", "addr", listener.Addr().String(), "accounts", len(book.All()))
	group := run.NewGroup(ctx)
	served := make(chan struct{})
	group.Go("accounts", book.Run)
	group.Go("bus", func(ctx context.Context) error {
		if err := p.Join(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	group.Go("order", func(ctx context.Context) error { return runUntil(ctx, served, order.Run) })
	group.Go("spool", taken.Drain)
	group.Go("webhooks", func(ctx context.Context) error {
		defer close(served)
		return serve(ctx, listener, handler, tel.Log, max(cfg.ShutdownTimeout-closeMargin, time.Second))
	})
	return group.Wait()
}

func listen(ctx context.Context, cfg Config) (net.Listener, error) {
	addr := net.JoinHostPort(cfg.ListenHost, strconv.Itoa(cfg.Port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks on %s (set by HOST and PORT): %w", addr, err)
	}
	return listener, nil
}

func newFence(p *pipeline.Pipeline, disk *spool.Spool) *fence.Fence {
	tel := p.Telemetry()
	return fence.New(fence.Options{
		Name: disk.ID(), Held: disk.Held, Ping: p.Conn().Flush, Reconnect: p.Conn().Reconnect, Log: tel.Log, Metrics: tel.Metrics,
		Open: func(ctx context.Context) (fence.Bucket, error) { return openSpools(ctx, p.Conn()) },
		Connected: func() (uint64, bool) {
			losses := p.Conn().Losses() // before: a loss in between closes the fence
			return losses, p.Conn().Connected()
		},
	})
}

// The tries to open the bucket of spools are short: what waits here is not told to others before.
const (
	openTry   = time.Second
	openPause = 100 * time.Millisecond
)

// openSpools opens the bucket in which replicas tell of their spools, once there is one. It does not wait for all the others that a
// stage joins: a cluster that has lost a server finds the leaders of its streams one after another.
func openSpools(ctx context.Context, conn *bus.Conn) (*bus.Bucket, error) {
	for {
		try, cancel := context.WithTimeout(ctx, openTry)
		b, err := bus.OpenBucket(try, conn, topology.Spools.Name)
		cancel()
		if err == nil {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(openPause):
		}
	}
}

// runUntil runs something that outlives ctx, until there are no more webhooks in flight.
func runUntil(ctx context.Context, served <-chan struct{}, run func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		select {
		case <-served:
			cancel()
		case <-ctx.Done():
		}
	}()
	return run(ctx)
}

func newHandler(cfg Config, tel *telemetry.Telemetry, book *accounts.Book, taken *intake.Intake) (http.Handler, error) {
	proxies, err := cfg.proxies()
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Deps{
		Intake: taken, Secrets: secrets(cfg.secrets(), book), Answers: book.Answers, Log: tel.Log, Metrics: tel.Metrics,
	}, httpapi.Options{
		VerifyToken: cfg.VerifyToken, MaxBodyBytes: cfg.MaxBodyBytes, RatePerIP: cfg.RatePerIP, TrustedProxies: proxies,
	}), nil
}

// secrets gives the app's secrets and those that accounts have of their own, each once.
func secrets(own []config.Secret, book *accounts.Book) func() []config.Secret {
	return func() []config.Secret {
		all := slices.Clone(own)
		for _, s := range book.AppSecrets() {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
		return all
	}
}

// serve serves until ctx ends; then it takes no new connections and lets requests in flight finish, their publishing included.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger, within time.Duration) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve webhooks: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		return errors.Join(fmt.Errorf("finish webhooks in flight: %w", err), server.Close())
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve webhooks: %w", err)
	}
	return nil
}
