package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/archiver"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/ingress"
	"github.com/parley-dm/parley/services/responder"
	"github.com/parley-dm/parley/services/sender"
	"github.com/parley-dm/parley/services/standalone/internal/datadir"
	"github.com/parley-dm/parley/services/standalone/internal/embednats"
	"github.com/parley-dm/parley/services/standalone/internal/ports"
)

// name is the process's in logs, metrics and traces.
const name = "parley"

// readyPoll is how often a process that starts asks itself whether it is ready.
const readyPoll = 20 * time.Millisecond

// process is what all services of one process share. Close it when they have stopped.
type process struct {
	cfg  Config
	tel  *telemetry.Telemetry
	nats *embednats.Server // nil with NATS_URL
	conn *bus.Conn
	host *pipeline.Host

	listening chan string
	console   chan string
	started   atomic.Bool
}

// startCheck is the readiness check that fails until every service runs; until then most of them have none of their own.
const startCheck = "start"

// starting is that check.
func (p *process) starting(context.Context) error {
	if p.started.Load() {
		return nil
	}
	return errors.New("still starting")
}

// open starts what is shared: telemetry, the NATS server, the connection, the streams.
func open(ctx context.Context, cfg Config, dir *datadir.Dir) (*process, error) {
	p := &process{cfg: cfg, listening: make(chan string, 1), console: make(chan string, 1)}
	if err := p.open(ctx, dir); err != nil {
		return nil, errors.Join(err, p.Close()) //nolint:contextcheck // what is to be closed may be so because ctx has ended
	}
	return p, nil
}

func (p *process) open(ctx context.Context, dir *datadir.Dir) (err error) {
	if p.tel, err = telemetry.Start(ctx, telemetry.Options{Service: name, Common: p.cfg.Common}); err != nil {
		return err
	}
	p.tel.Health.Add(startCheck, p.starting)
	p.host = &pipeline.Host{Telemetry: p.tel}
	conn := bus.ConnConfig{URL: p.cfg.NATSURL.Reveal(), CredsFile: p.cfg.Ingress.NATS.CredsFile, Name: p.cfg.AppName, Early: true, Logger: p.tel.Log}
	if conn.URL == "" {
		if err := p.embed(ctx, dir); err != nil {
			return err
		}
		conn.InProcess, conn.CredsFile = p.nats, ""
		// Only then: a server elsewhere may have other members, and DATA_DIR may have been copied from another machine.
		if p.host.Member, err = dir.Member(); err != nil {
			return err
		}
	}
	if p.conn, err = bus.Connect(ctx, conn); err != nil {
		return err
	}
	p.host.Conn = p.conn
	p.cfg.lend(p.host)
	p.cfg.Ingress.Listening = func(addr string) { p.listening <- addr }
	p.cfg.Console.Listening = func(addr string) { p.console <- addr }
	if p.nats == nil {
		return nil // it may be away: each service waits for it by itself
	}
	// Once, before all of them do at once.
	if _, err := topology.Ensure(ctx, p.conn.JetStream(), topology.Options{Replicas: p.cfg.Ingress.NATS.Replicas}); err != nil {
		return fmt.Errorf("make the streams: %w", err)
	}
	return nil
}

// embed starts the NATS server in this process.
func (p *process) embed(ctx context.Context, dir *datadir.Dir) (err error) {
	o := embednats.Options{Dir: dir.Path(), Listen: p.cfg.NATSListen, Log: p.tel.Log}
	if o.Sync, err = p.cfg.sync(); err != nil {
		return err
	}
	for _, s := range topology.Streams() {
		o.Reserve += s.MaxBytes
	}
	if p.nats, err = embednats.Start(ctx, o); err != nil {
		return err
	}
	p.tel.Health.Add("nats_server", p.nats.Ready)
	return nil
}

// services are the stages that serve and demo have in common, in the order of their start.
func (p *process) services() []stage {
	return []stage{
		{archiver.Name, func(ctx context.Context) error { return archiver.Run(ctx, p.cfg.Archiver) }},
		{sender.Name, func(ctx context.Context) error { return sender.Run(ctx, p.cfg.Sender) }},
		{responder.Name, func(ctx context.Context) error { return responder.Run(ctx, p.cfg.Responder) }},
		{"ingress", func(ctx context.Context) error { return ingress.Run(ctx, p.cfg.Ingress) }},
		{console.Name, func(ctx context.Context) error { return console.Run(ctx, p.cfg.Console) }},
	}
}

// migrate brings the schema up to date when the database comes.
func (p *process) migrate(ctx context.Context) error {
	postgres.MigrateLater(ctx, p.cfg.Archiver.Database, p.tel.Log)
	<-ctx.Done()
	return nil
}

// announce tells Ready, and the log, when every service says that it can do its work.
func (p *process) announce(ctx context.Context) error {
	var r Running
	for range 2 {
		select {
		case r.Webhooks = <-p.listening:
		case r.Console = <-p.console:
		case <-ctx.Done():
			return nil
		}
	}
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		if results, _ := p.tel.Health.Run(ctx); p.allReady(results) {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
	p.started.Store(true)
	if p.nats != nil {
		r.NATS = p.nats.URL()
	}
	p.tel.Log.InfoContext(ctx, "parley.ready", "addr", r.Webhooks, "console", r.Console, "nats", r.NATS)
	if p.cfg.Ready != nil {
		p.cfg.Ready(r)
	}
	<-ctx.Done()
	return nil
}

// allReady says whether every service has named what it depends on and can use it.
func (p *process) allReady(results []telemetry.Result) bool {
	for _, s := range p.services() {
		if !slices.ContainsFunc(results, func(r telemetry.Result) bool { return strings.HasPrefix(r.Name, s.name+".") }) {
			return false
		}
	}
	return !slices.ContainsFunc(results, func(r telemetry.Result) bool { return !r.OK && r.Name != startCheck })
}

// client connects to the bus as any client would.
func (p *process) client() (*nats.Conn, error) {
	opts := []nats.Option{nats.Name(name + "-demo"), nats.MaxReconnects(-1)}
	if p.nats != nil {
		opts = append(opts, nats.InProcessServer(p.nats))
	}
	if creds := p.cfg.Ingress.NATS.CredsFile; p.nats == nil && creds != "" {
		opts = append(opts, nats.UserCredentials(creds))
	}
	nc, err := nats.Connect(p.cfg.NATSURL.Reveal(), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}

// Close ends what is shared; the NATS server last, which everything else needs until then.
func (p *process) Close() error {
	if p.conn != nil {
		p.conn.Close()
	}
	if p.nats != nil {
		p.nats.Close()
	}
	if p.tel == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return p.tel.Close(ctx)
}

// checkPorts finds out whether what the process will listen on is free.
func checkPorts(ctx context.Context, cfg Config, more ...ports.Port) error {
	all := []ports.Port{
		{What: "webhooks", Variable: "PORT", Addr: net.JoinHostPort(cfg.Ingress.ListenHost, strconv.Itoa(cfg.Ingress.Port)), PortOnly: true},
		{What: "the console", Variable: "CONSOLE_ADDR", Addr: cfg.Console.Addr},
		{What: "health and metrics", Variable: "ADMIN_ADDR", Addr: cfg.AdminAddr},
	}
	if cfg.NATSListen != "" {
		all = append(all, ports.Port{What: "NATS", Variable: "NATS_LISTEN", Addr: cfg.NATSListen})
	}
	return ports.Check(ctx, append(all, more...))
}

// say writes a line for people.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
