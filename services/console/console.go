// Package console is what the people of a business see of Parley and do with it: pages, a JSON API, webhooks to other
// programs.
//
// It reads PostgreSQL with a pool of its own and changes what happens only as any other would: it publishes intents and
// events to the bus, and writes rules and its own tables. It sends nothing to Meta and migrates nothing. PostgreSQL and the
// bus may be away when it starts: pages say so until they are back.
package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/console/internal/api"
	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/live"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/rollup"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/sweep"
)

// Name is the service's name in logs, metrics and subscriptions.
const Name = "console"

const (
	// poolSize bounds the console's connections: the pages of some ten people at once.
	poolSize = 8
	// closeMargin is what a stop has left, of SHUTDOWN_TIMEOUT, when requests must have ended.
	closeMargin = 3 * time.Second
)

// Run serves the console until the context ends.
func Run(ctx context.Context, cfg Config) (err error) {
	p, err := pipeline.Open(ctx, pipeline.Options{Service: Name, Common: cfg.Common, NATS: cfg.NATS, Host: cfg.Host, Early: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tel := p.Telemetry()
	pool, err := postgres.Open(ctx, cfg.Database, postgres.Options{Name: Name, MaxConns: poolSize})
	if err != nil {
		return err
	}
	defer pool.Close()
	tel.Health.Add("postgres", func(ctx context.Context) error { return postgres.CheckSchema(ctx, pool) })

	vault, err := cfg.vault()
	if err != nil {
		return err
	}
	hub := live.NewHub()
	defer hub.Close()
	provider, err := cfg.provider()
	if err != nil {
		return err
	}
	if provider != nil {
		defer provider.Close()
	}
	media := cfg.Media.Library()
	defer func() { err = errors.Join(err, media.Close()) }()
	kept := store.New(pool, time.Now)
	told := hooks.New(kept, hooks.Options{AllowPrivate: cfg.WebhooksPrivate, Log: tel.Log, Now: time.Now})
	book, d, system := hooks.NewBook(kept, told), desk.New(p, kept, time.Now), ops.New(p, vault, time.Now)
	handler, err := newHandler(cfg, parts{tel: tel, store: kept, hub: hub, desk: d, webhooks: book, ops: system, oidc: provider, media: media, api: api.Deps{ //nolint:contextcheck // each request brings its own
		Store: kept, Desk: d, Ops: system, Rules: repository.NewRules(pool), Webhooks: book, Log: tel.Log, Now: time.Now,
	}})
	if err != nil {
		return err
	}
	listener, err := listen(ctx, cfg, tel.Log)
	if err != nil {
		return err
	}
	p.Started()
	group := run.NewGroup(ctx)
	group.Go("pages", func(ctx context.Context) error {
		return serve(ctx, listener, handler, hub, tel.Log, max(cfg.ShutdownTimeout-closeMargin, time.Second))
	})
	group.Go("webhooks", func(ctx context.Context) error {
		return told.Follow(ctx, pipeline.Options{Common: cfg.Common, NATS: cfg.NATS, Host: &pipeline.Host{Telemetry: tel, Conn: p.Conn()}})
	})
	group.Go("courier", told.Deliver)
	group.Go("analytics", rollup.New(kept, tel.Log, time.Now).Run)
	group.Go("sweep", func(ctx context.Context) error { return sweep.Run(ctx, kept, tel.Log, cfg.SweepEvery) })
	group.Go("desk", d.Run)
	group.Go("live", func(ctx context.Context) error {
		if err := p.Join(ctx); err != nil {
			return err
		}
		return p.Follow(ctx, func(h pipeline.Happened) { hub.Changed(h.Conversation) }, hub.Missed)
	})
	return group.Wait()
}

// listen opens the console's address, and tells of it.
func listen(ctx context.Context, cfg Config, log *slog.Logger) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on CONSOLE_ADDR %s: %w", cfg.Addr, err)
	}
	log.InfoContext(ctx, "console.listening", "addr", listener.Addr().String())
	if cfg.Listening != nil {
		cfg.Listening(listener.Addr().String())
	}
	return listener, nil
}

// serve answers until ctx ends, then lets running requests finish. Browsers that listen for changes are let go first: they
// would never finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, hub *live.Hub, log *slog.Logger, within time.Duration) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() { //nolint:revive // the stop function is what is deferred
		hub.Close()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		err := server.Shutdown(closing)
		if err != nil {
			err = errors.Join(fmt.Errorf("shut down: %w", err), server.Close())
		}
		stopped <- err
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve pages: %w", err)
	}
	return <-stopped
}
