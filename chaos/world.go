package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/services/simulator"
)

const (
	account   = "17841400000000001"
	appSecret = "chaos-secret"
	token     = "chaos-token"
)

// world is everything that a run starts.
type world struct {
	dir       string
	natsURL   string
	postgres  *pglocal.Server
	simulator *simulator.Simulator
	processes []*process
	closers   []func()
	out       io.Writer
	begin     time.Time
}

// targets are the binaries that are built, as "module package".
var targets = map[string]string{
	"nats-server": "chaos github.com/nats-io/nats-server/v2",
	"ingress":     "services/ingress ./cmd/ingress",
	"responder":   "services/responder ./cmd/responder",
	"sender":      "services/sender ./cmd/sender",
	"archiver":    "services/archiver ./cmd/archiver",
}

// newWorld builds the binaries and starts PostgreSQL, NATS and the simulator; the services come after it.
func newWorld(ctx context.Context, root string, out io.Writer) (_ *world, err error) {
	dir, err := os.MkdirTemp("", "parley-chaos-")
	if err != nil {
		return nil, fmt.Errorf("make the run's folder: %w", err)
	}
	w := &world{dir: dir, out: out, begin: time.Now()}
	defer func() {
		if err != nil {
			w.close(false)
		}
	}()
	w.say("building")
	if err := build(ctx, root, dir, targets); err != nil {
		return nil, err
	}
	w.postgres, err = pglocal.Start(ctx, pglocal.Options{Unsafe: true})
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, func() { _ = w.postgres.Stop() })
	if _, _, err := postgres.Migrate(ctx, config.Database{URL: config.Secret(w.postgres.URL())}); err != nil {
		return nil, err
	}
	if err := w.startNATS(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// startNATS starts a nats-server on a port that it keeps when it is restarted.
func (w *world) startNATS(ctx context.Context) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	w.natsURL = "nats://" + addr
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	nats := w.add("nats-server", "nats-server", "", "-a", "127.0.0.1", "-p", port, "-js", "-sd", filepath.Join(w.dir, "jetstream"))
	if err := nats.start(); err != nil {
		return err
	}
	return w.reachable(ctx, addr)
}

func (w *world) reachable(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// add prepares a process; admin is its ADMIN_ADDR.
func (w *world) add(name, binary, admin string, args ...string) *process {
	p := &process{name: name, binary: filepath.Join(w.dir, binary), log: filepath.Join(w.dir, name+".log"), args: args, admin: admin}
	w.processes = append(w.processes, p)
	return p
}

// service starts one replica of a service.
func (w *world) service(ctx context.Context, binary, name string, env ...string) (*process, error) {
	admin, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	p := w.add(name, binary, admin)
	p.env = append([]string{
		"NATS_URL=" + w.natsURL, "DATABASE_URL=" + w.postgres.URL(), "ADMIN_ADDR=" + admin, "FACEBOOK_APP_SECRET=" + appSecret,
		"FACEBOOK_VERIFY_TOKEN=verify", "INSTAGRAM_PAGE_ID=" + account, "INSTAGRAM_PAGE_ACCESS_TOKEN=" + token, "LOG_FORMAT=json",
	}, env...)
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, nil
}

// startSimulator plays Meta in this process, towards an ingress.
func (w *world) startSimulator(ctx context.Context, webhookURL string) (graphURL string, err error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return "", err
	}
	cfg, err := config.Load[simulator.Config]([]string{
		"SIMULATOR_ADDR=" + addr, "WEBHOOK_URL=" + webhookURL, "FACEBOOK_APP_SECRET=" + appSecret, "INSTAGRAM_PAGE_ID=" + account,
		"INSTAGRAM_PAGE_ACCESS_TOKEN=" + token, "GRAPH_RATE=0", "WEBHOOK_RETRY_MAX=1s",
	})
	if err != nil {
		return "", err
	}
	w.simulator, err = simulator.New(cfg)
	if err != nil {
		return "", err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if err := w.simulator.Serve(serving, ready); err != nil {
			w.say("simulator: %v", err)
		}
	}()
	w.closers = append(w.closers, func() { cancel(); <-done })
	select {
	case <-ready:
		return "http://" + addr, nil
	case <-done:
		return "", errors.New("the simulator did not start")
	}
}

func (w *world) say(format string, args ...any) {
	_, _ = fmt.Fprintf(w.out, "%7.1fs  %s\n", time.Since(w.begin).Seconds(), fmt.Sprintf(format, args...))
}

// rows counts what the archive has.
func (w *world) rows(ctx context.Context) (inbound, sent int, err error) {
	conn, err := pgx.Connect(ctx, w.postgres.URL())
	if err != nil {
		return 0, 0, fmt.Errorf("count rows: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	const query = `SELECT count(*) FILTER (WHERE direction = 'inbound'), count(*) FILTER (WHERE direction = 'outbound' AND status IN ('sent','delivered','read')) FROM messages`
	if err := conn.QueryRow(ctx, query).Scan(&inbound, &sent); err != nil {
		return 0, 0, fmt.Errorf("count rows: %w", err)
	}
	return inbound, sent, nil
}

// close ends everything, services first, and removes the folder unless its logs are wanted.
func (w *world) close(keep bool) {
	for i := len(w.processes) - 1; i >= 0; i-- {
		if p := w.processes[i]; p.cmd != nil && p.running() {
			_ = p.cmd.Process.Signal(sigcont)
			_, _ = p.terminate(15 * time.Second)
		}
	}
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
	if keep {
		w.say("logs are in %s", w.dir)
		return
	}
	_ = os.RemoveAll(w.dir)
}
